"""Takes what the ledger refused out of a call that was judged before, without judging it again (rules.md 2)."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from fsproxy.core.client_api.calls import Call, Steps, Typing
from fsproxy.core.client_api.details import cut, property_detail
from fsproxy.core.client_api.names import PropertyType
from fsproxy.core.model import CallKind, Rejection
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings

if TYPE_CHECKING:
    from fsproxy.core.client_api.judging import Judged

_CODE = RejectionCode.CARDINALITY_EXCEEDED


def properties_refused(
    call: Call, judged: Judged, refused: Collection[str], shown: str | None, settings: ClientApiSettings
) -> tuple[tuple[Rejection, ...], tuple[Steps, ...], tuple[Steps, ...], bool] | None:
    """Return the rejections, the cuts, the schema's cuts, and whether nothing is left of variables.

    None: only the walk through the call can tell, as other properties of it are rejected, or as properties
    share what would be cut.
    """
    if judged.rejections or len(judged.places) != len(judged.names):
        return None
    at, schema_at = call.at, call.schema_at
    described = call.typing is not Typing.SUFFIX
    detail = property_detail(_CODE, settings, PropertyType.STR)
    rejections: list[Rejection] = []
    cuts: list[Steps] = []
    schema_cuts: list[Steps] = []
    for name, (steps, entry) in zip(judged.names, judged.places, strict=True):
        if name not in refused:
            continue
        if len(steps) == 1:
            written = str(steps[0])
        elif described:
            return None  # an object of which nothing is left takes its own entry along
        else:
            written = ".".join(map(str, steps))
        cuts.append((*at, *steps))
        if entry is not None:
            schema_cuts.append((*schema_at, *entry))
        rejections.append(Rejection(_CODE, call.kind, shown, cut(written), detail))
    none_left = call.kind is not CallKind.EVENT and len(cuts) == judged.survivors
    return tuple(rejections), tuple(cuts), tuple(schema_cuts), none_left
