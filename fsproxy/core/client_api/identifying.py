"""Which users the calls of a body identify, and what a rejected uid means for the call after it (rules.md 2 and 10)."""

from __future__ import annotations

import msgspec

from fsproxy.core.client_api.calls import UID, ValidatedCall
from fsproxy.core.client_api.inspected import InspectedCall, Inspection


def named_uids(inspection: Inspection) -> tuple[str, ...]:
    """Return the uids of all calls that identify the visitor, in order, also those of rejected calls.

    ``identify`` and user variables with the reserved property ``uid`` identify. A ``uid`` to which the schema gives
    a type is an ordinary property, and one that is empty or no string names no user.
    """
    return tuple([str(each.call.properties[UID]) for each in inspection.calls if _identifies(each)])


def accepted_uid(inspection: Inspection) -> str:
    """Return the uid that the session has after this body: that of the last accepted call with one; "" if none."""
    for each in reversed(inspection.calls):
        if not each.validated.rejected and _identifies(each):
            return str(each.call.properties[UID])
    return ""


def _identifies(each: InspectedCall) -> bool:
    call = each.call
    uid = call.properties.get(UID) if call.kind.is_user and call.gives_uid else None
    return isinstance(uid, str) and uid != ""


def with_whole_identifies(inspection: Inspection) -> Inspection:
    """Reject the variables of each ``identify`` whose uid is rejected: they would land on another user."""
    halves: dict[int, InspectedCall] = {}
    for index, each in enumerate(inspection.calls):
        if each.validated.rejected and each.call.is_uid_only and inspection.identifies_with_next(index):
            half = inspection.calls[index + 1]
            validated = ValidatedCall(rejected=True, rejections=half.validated.rejections)
            halves[index + 1] = msgspec.structs.replace(half, validated=validated)
    if not halves:
        return inspection
    calls = tuple(halves.get(index, each) for index, each in enumerate(inspection.calls))
    return msgspec.structs.replace(inspection, calls=calls)
