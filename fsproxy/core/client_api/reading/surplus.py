"""The calls of a body beyond ``max_calls``: rejected without being read, at next to no cost (rules.md 2)."""

from __future__ import annotations

from fsproxy.core.client_api.inspection import Inspection
from fsproxy.core.model import Rejection
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings


def rejected_unread(inspection: Inspection, settings: ClientApiSettings) -> tuple[Rejection, ...]:
    """Return a rejection for each of them, in order of appearance. Those of one kind are one object."""
    if not inspection.surplus:
        return ()
    detail = f"more than {settings.max_calls} calls in one body"
    of_kind = {
        kind: Rejection(RejectionCode.RATE_LIMITED, kind, None, None, detail)
        for kind in set(inspection.surplus.values())
    }
    return tuple(map(of_kind.__getitem__, inspection.surplus.values()))
