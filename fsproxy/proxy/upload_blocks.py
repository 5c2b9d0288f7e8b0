"""Which uploads are blocked: as their page was, by a filter, or because their session's user is being deleted.

rules.md 1 and 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fsproxy.core.client_api.inspected import accepted_uid, named_uids
from fsproxy.core.limits.operations import LedgerDownError, Recalled
from fsproxy.core.model import SERVER_API, Mode
from fsproxy.core.pipeline import Decision, judge, mark, recall
from fsproxy.core.settings import PRIVACY
from fsproxy.core.uid_digest import uid_digest
from fsproxy.state.memory.blocked_pages import NOT_BLOCKED

if TYPE_CHECKING:
    from fsproxy.core.client_api.inspected import Inspection
    from fsproxy.core.limits.operations import Answer, Ledger, Operation
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.proxy.flow import Flow
    from fsproxy.state.memory.blocked_pages import BlockedPages


_ENFORCE, _OFF = Mode.ENFORCE, Mode.OFF


async def ask(ledger: Ledger, flow: Flow, operations: tuple[Operation, ...]) -> tuple[Answer, ...] | None:
    """Return the ledger's answers; None while it is down, which limits nothing."""
    try:
        return await ledger.ask(operations, flow.arrived)
    except LedgerDownError:
        return None


class UploadBlocks:
    """Decides on bundles, events, direct calls and sockets by what is known of their session."""

    def __init__(self, ledger: Ledger, blocked: BlockedPages) -> None:
        self._ledger = ledger
        self._blocked = blocked

    async def is_blocked(self, flow: Flow, policy: OrgPolicy) -> bool:
        """Decide, in ``flow``, whether the request is blocked: as its page was, or by a filter."""
        facts = flow.facts
        if facts is None:
            return False
        operations = recall(policy, facts) if policy.deleting_user is not None else ()
        holds = policy.cap is _ENFORCE
        # Both may ask the store, each at most once a minute for a page and a session: in one round trip.
        asked = self._blocked.find(facts.org or "", facts.page_id) if holds or policy.protects else NOT_BLOCKED
        recalled = await ask(self._ledger, flow, operations) if operations else None
        remembered = await asked if asked is not NOT_BLOCKED else None
        if recalled and isinstance(recalled[0], Recalled) and recalled[0].uids:
            facts = flow.facts = msgspec.structs.replace(facts, uids=recalled[0].uids)
        if remembered is not None and (holds or remembered.filter.value in PRIVACY):
            flow.decision = Decision(block=remembered)
            return True
        flow.decision = judge(policy, facts, flow.arrived)
        return flow.decision.block is not None

    async def mark_session(self, flow: Flow) -> None:
        """Note in the ledger that the session of what is forwarded is under way, with the uid that its calls name."""
        policy = flow.policy
        if flow.facts is None or flow.route is SERVER_API or policy is None:
            return
        if policy.cap is _OFF and policy.deleting_user is None:
            return
        try:
            listed = flow.uid != 0 and flow.decision.block is not None
            await self._ledger.ask(mark(flow.facts, flow.uid, listed=listed), flow.arrived)
        except LedgerDownError:
            flow.note_ledger_down()

    def names_deleted_user(self, flow: Flow, policy: OrgPolicy, inspection: Inspection) -> bool:
        """Learn the session's uid from the calls, in ``flow``; return whether one names a user who is being deleted.

        The session is to be known by that uid from then on, although its body is not forwarded.
        """
        facts, listed = flow.facts, policy.deleting_user
        if facts is None or flow.route is SERVER_API:
            return False
        uid = accepted_uid(inspection)
        flow.uid = uid_digest(uid) if uid else 0
        found = listed.named(named_uids(inspection), flow.arrived) if listed is not None else ()
        if not found:
            return False
        flow.facts = msgspec.structs.replace(facts, uids=facts.uids + found)
        decision = judge(policy, flow.facts, flow.arrived)
        if decision.block is not None:
            flow.uid = found[-1]
        flow.decision = decision
        return decision.block is not None
