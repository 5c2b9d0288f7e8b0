"""One call, judged: every rejection, what to cut, and the names that would be counted (rules.md 2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from fsproxy.core.client_api.calls import MAX_LEAVES, UID, Call, Steps
from fsproxy.core.client_api.refusing import properties_refused
from fsproxy.core.client_api.validation.details import cut, reserved_detail
from fsproxy.core.client_api.validation.known_shapes import Shapes
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
_SHAPES = Shapes()


class ValidatedCall(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the rules say of one call."""

    rejected: bool = False
    """The call itself goes; otherwise only what is in ``cuts``."""
    rejections: tuple[Rejection, ...] = ()
    """All of them, in order of appearance; the call's own first."""
    cuts: tuple[Steps, ...] = ()
    """Where the rejected properties stand in the call's document."""
    schema_cuts: tuple[Steps, ...] = ()
    """Where the entries of the schema stand that go with them."""
    names: tuple[str, ...] = ()
    """Canonical names (``path_type``; of an event, ``event/path_type``) of what survives, each once."""
    places: tuple[tuple[Steps, Steps | None], ...] = ()
    """Of a call with a schema: where the property of each name stands, and its entry; empty where several share."""
    is_shared: bool = False
    """Several properties may have one name, or one entry of the schema."""
    survivors: int = 0
    """Properties that are not cut, reserved ones included."""


def name_kind(call: Call) -> NameKind | None:
    """Tell among which names the properties of a call count; those of pages and documents do not."""
    if call.kind is CallKind.EVENT:
        return NameKind.EVENT_PROPERTY
    return NameKind.USER_PROPERTY if call.kind.is_user else None


def validate_call(call: Call, settings: ClientApiSettings, refused: Refused | None = None) -> ValidatedCall:
    """Judge one call and all of its properties; the same again for names that the ledger ``refused``.

    The answer depends on nothing else. A call like others before it is compared with them, and has their verdict.
    """
    own = _own_breach(call, settings, refused)
    if own is None and not call.breaches and not refused:
        known = _SHAPES.find(call, settings)
        if known is not None:
            return known
    return judge_anew(call, settings, refused, own)


def judge_anew(
    call: Call, settings: ClientApiSettings, refused: Refused | None = None, own: Rejection | None = None
) -> ValidatedCall:
    """Walk a call, property by property. ``own`` is what is wrong with its name or uid."""
    breaches = [Rejection(each.code, call.kind, shown(call), None, each.detail) for each in call.breaches]
    if own is not None:
        breaches.insert(0, own)
    reserved = _reserved(call.kind, settings)
    walk = Walk(call, settings, reserved, MAX_LEAVES, _refused_here(call, refused))
    for member, stands_for in call.envelope:
        _judge_envelope(walk, call, member, stands_for, settings)
    if call.envelope and call.kind is CallKind.IDENTIFY:
        walk.survivors += 1  # its uid, which stands beside the properties
    walk.judge_all()
    if breaches:
        return ValidatedCall(rejected=True, rejections=(*breaches, *walk.rejections))
    if walk.rejections:
        # An event is still recorded by its name; variables of which none is left say nothing.
        if call.is_whole or (call.kind is not CallKind.EVENT and not walk.survivors):
            return ValidatedCall(rejected=True, rejections=tuple(walk.rejections))
        return ValidatedCall(
            rejections=tuple(walk.rejections),
            cuts=tuple(walk.cuts),
            schema_cuts=walk.entries_to_cut(),
            names=tuple(walk.names),
        )
    judged = ValidatedCall(
        names=tuple(walk.names), places=walk.places(), is_shared=walk.is_shared, survivors=walk.survivors
    )
    if not walk.has_flattened_entries:
        _SHAPES.note(call, settings, reserved, judged)
    return judged


def refuse(call: Call, judged: ValidatedCall, refused: Refused, settings: ClientApiSettings) -> ValidatedCall:
    """Judge again a call that was judged before the ledger ``refused`` some of its names.

    The answer is the one of ``validate_call``, at a price of its own only for what is refused.
    """
    gone = _refused_here(call, refused)
    found = properties_refused(call, judged, gone, shown(call), settings)
    if found is None:
        return validate_call(call, settings, refused)
    rejections, cuts, schema_cuts, none_left = found
    own = _own_breach(call, settings, refused)
    if own is not None:
        return ValidatedCall(rejected=True, rejections=(own, *rejections))
    if not rejections:
        return judged
    if none_left or call.is_whole:
        return ValidatedCall(rejected=True, rejections=rejections)
    names = tuple(name for name in judged.names if name not in gone)
    return ValidatedCall(rejections=rejections, cuts=cuts, schema_cuts=schema_cuts, names=names)


def shown(call: Call) -> str | None:
    """Give a call's name as a rejection carries it: an event's, None where it is no string."""
    return cut(call.name) if isinstance(call.name, str) else None


def _reserved(kind: CallKind, settings: ClientApiSettings) -> Mapping[str, int]:
    if kind is CallKind.EVENT:
        return _NONE_RESERVED
    return settings.reserved if kind.is_user else _PAGE_RESERVED


def _refused_here(call: Call, refused: Refused | None) -> Collection[str]:
    kind = name_kind(call)
    return refused.get(kind, ()) if refused and kind is not None else ()


def _own_breach(call: Call, settings: ClientApiSettings, refused: Refused | None) -> Rejection | None:
    """Judge what belongs to no property: an event's name, an identify's uid."""
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


_UID_LENGTH = 256


def _judge_envelope(walk: Walk, call: Call, member: str, reserved: str, settings: ClientApiSettings) -> None:
    """Judge a reserved property that stands beside the properties, under a name of its own."""
    length = settings.reserved.get(reserved)
    if member in call.around and length is not None:
        walk.reserved_leaf(member, call.around[member], length, (*call.at[:-1], member), reserved_detail)
