"""Cuts names that the ledger refused out of a call that was valid before, without validating it again (rules.md 2)."""

from __future__ import annotations

from collections.abc import Collection

from fsproxy.core.client_api.calls import Call, Typing, ValidatedCall
from fsproxy.core.client_api.validation.details import LONGEST_ECHO, cut, property_detail
from fsproxy.core.client_api.validation.names import PropertyType
from fsproxy.core.json.scanner import Steps
from fsproxy.core.model import CallKind, Rejection
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings

_CODE = RejectionCode.CARDINALITY_EXCEEDED


def properties_refused(
    call: Call, validated: ValidatedCall, refused: Collection[str], shown: str | None, settings: ClientApiSettings
) -> tuple[tuple[Rejection, ...], tuple[Steps, ...], tuple[Steps, ...], bool] | None:
    """Return the rejections, the cuts, the schema's cuts, and whether all properties of a user call are cut.

    None: only the walk through the call can find this, because other properties of it are rejected or several
    properties share what would be cut. An org at its limit pays this cost for every call: a few passes over the names.
    """
    if validated.rejections or validated.is_shared:
        return None
    at = call.at
    schema_cuts: tuple[Steps, ...] = ()
    if call.typing is Typing.SUFFIX:
        begin = len(call.name_prefix)
        paths = [name[begin:] for name in validated.names if name in refused]
        cuts = tuple([(*at, *path.split(".")) if "." in path else (*at, path) for path in paths])
    else:
        places = [place for name, place in zip(validated.names, validated.places, strict=True) if name in refused]
        if any(len(steps) > 1 for steps, _ in places):
            return None  # an object that loses its last property takes its own schema entry with it
        paths = [str(steps[0]) for steps, _ in places]
        cuts = tuple([(*at, *steps) for steps, _ in places])
        schema_cuts = tuple([(*call.schema_at, *entry) for _, entry in places if entry is not None])
    kind, detail = call.kind, property_detail(_CODE, settings, PropertyType.STR)
    # A valid name has no unpaired surrogate, so only its length can need a cut.
    rejections = tuple(
        [Rejection(_CODE, kind, shown, path if len(path) <= LONGEST_ECHO else cut(path), detail) for path in paths]
    )
    none_left = kind is not CallKind.EVENT and len(cuts) == validated.survivors
    return rejections, cuts, schema_cuts, none_left
