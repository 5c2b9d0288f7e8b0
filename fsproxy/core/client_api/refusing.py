"""Takes what the ledger refused out of a call that was judged before, without judging it again (rules.md 2)."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from fsproxy.core.client_api.calls import Call, Steps, Typing
from fsproxy.core.client_api.validation.details import LONGEST_ECHO, cut, property_detail
from fsproxy.core.client_api.validation.findings import prefix_of
from fsproxy.core.client_api.validation.names import PropertyType
from fsproxy.core.model import CallKind, Rejection
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings

if TYPE_CHECKING:
    from fsproxy.core.client_api.validation.call import ValidatedCall

_CODE = RejectionCode.CARDINALITY_EXCEEDED


def properties_refused(
    call: Call, judged: ValidatedCall, refused: Collection[str], shown: str | None, settings: ClientApiSettings
) -> tuple[tuple[Rejection, ...], tuple[Steps, ...], tuple[Steps, ...], bool] | None:
    """Return the rejections, the cuts, the schema's cuts, and whether nothing is left of variables.

    None: only the walk through the call can tell, as other properties of it are rejected, or as properties
    share what would be cut. An organisation at its limit pays this for every call: it is a few passes over the names.
    """
    if judged.rejections or judged.is_shared:
        return None
    at = call.at
    schema_cuts: tuple[Steps, ...] = ()
    if call.typing is Typing.SUFFIX:
        begin = len(prefix_of(call))
        paths = [name[begin:] for name in judged.names if name in refused]
        cuts = tuple([(*at, *path.split(".")) if "." in path else (*at, path) for path in paths])
    else:
        places = [place for name, place in zip(judged.names, judged.places, strict=True) if name in refused]
        if any(len(steps) > 1 for steps, _ in places):
            return None  # an object of which nothing is left takes its own entry along
        paths = [str(steps[0]) for steps, _ in places]
        cuts = tuple([(*at, *steps) for steps, _ in places])
        schema_cuts = tuple([(*call.schema_at, *entry) for _, entry in places if entry is not None])
    kind, detail = call.kind, property_detail(_CODE, settings, PropertyType.STR)
    # What was accepted as a name has no halves of characters, so only its length could want a cut.
    rejections = tuple(
        [Rejection(_CODE, kind, shown, path if len(path) <= LONGEST_ECHO else cut(path), detail) for path in paths]
    )
    none_left = kind is not CallKind.EVENT and len(cuts) == judged.survivors
    return rejections, cuts, schema_cuts, none_left
