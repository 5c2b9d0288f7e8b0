"""Whose upload it is: blocked as its page was, by a filter of its own, or as its session's uid is (rules.md 1, 10)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from fsproxy.core.client_api.inspected import accepted_uid, named_uids
from fsproxy.core.limits.operations import LedgerDownError, Recalled
from fsproxy.core.model import Mode, Route
from fsproxy.core.pipeline import Decision, judge, mark, recall, settle
from fsproxy.core.uid_digest import uid_digest

if TYPE_CHECKING:
    from fsproxy.core.client_api.inspected import Inspection
    from fsproxy.core.limits.operations import Answer, Ledger, Operation
    from fsproxy.core.model import Hit, SessionFacts
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.proxy.flow import Flow
    from fsproxy.state.cache import BlockedPages


class UploadJudge:
    """Judges bundles, events, direct calls and sockets by what is known of their session."""

    def __init__(self, ledger: Ledger, blocked: BlockedPages) -> None:
        self._ledger = ledger
        self._blocked = blocked

    async def blocks(self, flow: Flow, policy: OrgPolicy) -> bool:
        """Whether the request is blocked: as its page was, or by a filter of its own."""
        facts = flow.facts
        if facts is None:
            return False
        asked = recall(policy, facts)
        recalled = self._ledger.try_now(asked, flow.arrived) if asked else ()
        if recalled is None:
            # Both may wait for the store. The page's part is asked once a minute, and so is this.
            remembered, recalled = await asyncio.gather(self._block_of_page(policy, facts), self._ask(flow, asked))
        else:
            remembered = await self._block_of_page(policy, facts)
        if recalled and isinstance(recalled[0], Recalled) and recalled[0].uids:
            facts = flow.facts = msgspec.structs.replace(facts, uids=recalled[0].uids)
        if remembered is not None:
            flow.decision = Decision(block=remembered)
            return True
        flow.decision = settle(policy, judge(policy, facts, flow.arrived), None)
        return flow.decision.block is not None

    async def mark(self, flow: Flow) -> None:
        """The session of what is forwarded is under way, and has the uid that its calls name."""
        if flow.facts is None or flow.route is Route.SERVER_API:
            return
        operations = mark(flow.facts, flow.uid)
        if self._ledger.try_now(operations, flow.arrived) is None:
            try:
                await self._ledger.ask(operations, flow.arrived, flow.generation.config.state.redis.timeout)
            except LedgerDownError:
                flow.decision = Decision(shadow=flow.decision.shadow, failed=flow.decision.failed, ledger_down=True)

    async def is_of_deleted_user(self, flow: Flow, policy: OrgPolicy, inspection: Inspection) -> bool:
        """Learn the session's uid from the calls, in ``flow``. True: one names a user who is being deleted.

        The session is known by that uid from then on, although its body is not forwarded.
        """
        facts, listed = flow.facts, policy.deleting_user
        if facts is None or flow.route is Route.SERVER_API:
            return False
        uid = accepted_uid(inspection)
        flow.uid = uid_digest(uid) if uid else 0
        found = tuple([uid_digest(each) for each in named_uids(inspection) if each in listed.users]) if listed else ()
        if not found:
            return False
        flow.facts = msgspec.structs.replace(facts, uids=facts.uids + found)
        decision = settle(policy, judge(policy, flow.facts, flow.arrived), None)
        if decision.block is not None:
            flow.uid = found[-1]
            await self.mark(flow)
        flow.decision = decision
        return decision.block is not None

    async def _block_of_page(self, policy: OrgPolicy, facts: SessionFacts) -> Hit | None:
        """Why the request's page was blocked, if it was and rules are enforced."""
        if not facts.page_id or policy.cap is not Mode.ENFORCE:
            return None
        return await self._blocked.find(facts.org or "", facts.page_id)

    async def _ask(self, flow: Flow, operations: tuple[Operation, ...]) -> tuple[Answer, ...]:
        """The ledger's answers; none while it is down."""
        try:
            return await self._ledger.ask(operations, flow.arrived, flow.generation.config.state.redis.timeout)
        except LedgerDownError:
            return ()
