"""Which uids the calls of a body give to its session (rules.md 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsproxy.core.client_api.calls import UID, Typing

if TYPE_CHECKING:
    from fsproxy.core.client_api.inspection import InspectedCall, Inspection


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
    if not call.kind.is_user or (call.typing is Typing.SCHEMA and UID in call.schema):
        return False
    uid = call.properties.get(UID)
    return isinstance(uid, str) and uid != ""
