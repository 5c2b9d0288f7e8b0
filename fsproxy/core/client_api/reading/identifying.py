"""Which calls of a body identify the visitor: what uids they give, and which two are one (rules.md 2 and 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from fsproxy.core.client_api.calls import UID
from fsproxy.core.client_api.reading.bundle import COMPANION
from fsproxy.core.client_api.validation.call import ValidatedCall

if TYPE_CHECKING:
    from fsproxy.core.client_api.inspection import InspectedCall, Inspection

SAME_CALL_MS = 5
"""At most between the two events of one ``identify(uid, vars)`` (rules.md 2)."""


def named_uids(inspection: Inspection) -> tuple[str, ...]:
    """Return the uids of all calls that identify the visitor, in order; also those of calls that are rejected.

    ``identify`` and user variables with the reserved property ``uid`` do. A ``uid`` with a type of its own in the
    schema is an ordinary property, and one that is no string or empty names no user.
    """
    return tuple([str(each.call.properties[UID]) for each in inspection.calls if _identifies(each)])


def accepted_uid(inspection: Inspection) -> str:
    """Return the uid that the session has after this body: the last one of a call that the rules accept; "" if none."""
    for each in reversed(inspection.calls):
        if not each.judged.rejected and _identifies(each):
            return str(each.call.properties[UID])
    return ""


def _identifies(each: InspectedCall) -> bool:
    call = each.call
    uid = call.properties.get(UID) if call.kind.is_user and call.gives_uid else None
    return isinstance(uid, str) and uid != ""


def identifies_with_next(inspection: Inspection, index: int) -> bool:
    """Tell whether a bundle's call is the uid of an ``identify`` whose variables are the next call."""
    if index + 1 >= len(inspection.calls):
        return False
    first, second = inspection.calls[index], inspection.calls[index + 1]
    if not first.call.is_uid_only or not second.call.kind.is_user or second.call.is_uid_only:
        return False
    if second.call.gives_uid or not _same_time(first.when, second.when):
        return False
    between = inspection.parts[first.part + 1 : second.part]
    return all(_has_companions_kind(inspection.body[start:end]) for start, end in between)


def with_whole_identifies(inspection: Inspection) -> Inspection:
    """Reject the variables of each ``identify`` whose uid is rejected: they would land on another user."""
    halves: dict[int, InspectedCall] = {}
    for index, each in enumerate(inspection.calls):
        if each.judged.rejected and each.call.is_uid_only and identifies_with_next(inspection, index):
            half = inspection.calls[index + 1]
            judged = ValidatedCall(rejected=True, rejections=half.judged.rejections)
            halves[index + 1] = msgspec.structs.replace(half, judged=judged)
    if not halves:
        return inspection
    calls = tuple(halves.get(index, each) for index, each in enumerate(inspection.calls))
    return msgspec.structs.replace(inspection, calls=calls)


def _same_time(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= SAME_CALL_MS


class _KindOnly(msgspec.Struct, gc=False):
    Kind: Any = None


_decode_kind = msgspec.json.Decoder(_KindOnly).decode


def _has_companions_kind(event: bytes) -> bool:
    try:
        return bool(_decode_kind(event).Kind == COMPANION)
    except (ValueError, RecursionError):
        return False
