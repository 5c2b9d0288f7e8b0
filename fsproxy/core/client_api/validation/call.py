"""Validates one call: finds every rejection, what to cut, and the names to count (rules.md 2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from fsproxy.core.client_api.calls import NAME_KINDS, UID, Breach, Call, ValidatedCall
from fsproxy.core.client_api.validation.details import cut, names_detail
from fsproxy.core.client_api.validation.planned import AS_PLANNED, compare
from fsproxy.core.client_api.validation.refusing import properties_refused
from fsproxy.core.client_api.validation.walk import Walk
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import CallKind, Rejection
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings

PAGE_NAME_LENGTH = 1024
"""Characters of the one reserved name of page and document variables (rules.md 2)."""

Refused = Mapping[NameKind, Collection[str]]
"""Names that the ledger did not admit."""

_PAGE_RESERVED = {"pageName": PAGE_NAME_LENGTH}
_NONE_RESERVED: dict[str, int] = {}
_NONE_REFUSED: dict[str, Breach] = {}
_UID_LENGTH = 256


def validate_call(call: Call, settings: ClientApiSettings, refused: Refused | None = None) -> ValidatedCall:
    """Validate a call and all of its properties. Names that the ledger ``refused`` are rejected as well.

    The result depends on the arguments alone.
    """
    if call.learned is not None:
        return call.learned
    own, kind = _own_breach(call, settings, refused), call.kind
    reserved = _NONE_RESERVED if kind is CallKind.EVENT else settings.reserved if kind.is_user else _PAGE_RESERVED
    full = _reasons(call, refused, settings) if refused else _NONE_REFUSED
    walk = Walk(call, settings, reserved, full)
    walk.validate_all()
    if call.breaches or own is not None:
        breaches = [Rejection(each.code, kind, shown(call), None, each.detail) for each in call.breaches]
        rejections = (*breaches, *walk.rejections)
        return ValidatedCall(rejected=True, rejections=rejections if own is None else (own, *rejections))
    planned = AS_PLANNED if settings.plan is None else compare(call, walk.names, settings.plan)
    if planned.refused:
        if planned.alike is not None and not planned.own and not walk.rejections:
            found = properties_refused(call, _valid(walk), planned.refused, shown(call), planned.alike)
            if found is not None:
                return msgspec.structs.replace(found, noted=planned.noted) if planned.noted else found
        # What is not planned is cut at its place, so that all rejections come in order of appearance.
        walk = Walk(call, settings, reserved, {**planned.refused, **full})
        walk.validate_all()
    if planned.own:
        return ValidatedCall(rejected=True, rejections=(*planned.own, *walk.rejections), noted=planned.noted)
    if walk.rejections:
        # An event is still recorded by its name; a user call without properties records nothing.
        if call.is_whole or (kind is not CallKind.EVENT and not walk.survivors):
            return ValidatedCall(rejected=True, rejections=tuple(walk.rejections))
        return ValidatedCall(
            noted=planned.noted,
            rejections=tuple(walk.rejections),
            cuts=tuple(walk.cuts),
            schema_cuts=walk.entries_to_cut(),
            names=tuple(walk.names),
            page_name=walk.page_name,
        )
    return _valid(walk, planned.noted)


def _valid(walk: Walk, noted: Sequence[Rejection] = ()) -> ValidatedCall:
    return ValidatedCall(
        names=tuple(walk.names),
        places=walk.places(),
        is_shared=walk.is_shared,
        survivors=walk.survivors,
        noted=noted,
        page_name=walk.page_name,
    )


def refuse(call: Call, validated: ValidatedCall, refused: Refused, settings: ClientApiSettings) -> ValidatedCall:
    """Return what ``validate_call`` returns for these ``refused`` names, given its result without them.

    Where it can, it costs only as much as the refused names do.
    """
    found = None
    if not validated.page_name or validated.page_name not in refused.get(NameKind.PAGE_NAME, ()):
        found = properties_refused(call, validated, _refused_here(call, refused), shown(call), _full(call, settings))
    if found is None:
        return validate_call(call, settings, refused)
    own = _own_breach(call, settings, refused)
    if own is not None:
        return ValidatedCall(rejected=True, rejections=(own, *found.rejections))
    return found


def shown(call: Call) -> str | None:
    """Return an event's name as a rejection carries it; None for other kinds, and for a name that is no string."""
    return cut(call.name) if isinstance(call.name, str) else None


def _reasons(call: Call, refused: Refused, settings: ClientApiSettings) -> dict[str, Breach]:
    """Return the call's refused names, each with the reason. A digest of a ``pageName`` is no name of a property."""
    names = (*_refused_here(call, refused), *refused.get(NameKind.PAGE_NAME, ()))
    return dict.fromkeys(names, _full(call, settings))


def _full(call: Call, settings: ClientApiSettings) -> Breach:
    return Breach(RejectionCode.CARDINALITY_EXCEEDED, names_detail(call.kind, settings))


def _refused_here(call: Call, refused: Refused) -> Collection[str]:
    kind = NAME_KINDS.get(call.kind)
    return refused.get(kind, ()) if kind is not None else ()


def _own_breach(call: Call, settings: ClientApiSettings, refused: Refused | None) -> Rejection | None:
    """Return what is wrong with what belongs to no property: an event's name, an identify's uid."""
    if call.kind is CallKind.EVENT:
        limit = settings.event_name_length
        if not call.read:
            return None
        if not isinstance(call.name, str) or not 1 <= len(call.name) <= limit:
            code, detail = RejectionCode.INVALID_EVENT_NAME, f"not a string of 1 to {limit} characters"
        elif refused and call.name in refused.get(NameKind.EVENT_NAME, ()):
            code, detail = RejectionCode.CARDINALITY_EXCEEDED, "a new name beyond the limit on event names"
        else:
            return None
        return Rejection(code, call.kind, shown(call), None, detail)
    if call.kind is CallKind.IDENTIFY and not call.breaches:
        uid = (call.around if call.envelope else call.properties).get(UID)
        length = settings.reserved.get(UID, _UID_LENGTH)
        if not isinstance(uid, str) or not 1 <= len(uid) <= length or uid.casefold() in settings.blocked_uids:
            detail = f"its uid is not a string of 1 to {length} characters, or a placeholder"
            return Rejection(RejectionCode.INVALID_ID, call.kind, None, None, detail)
    return None
