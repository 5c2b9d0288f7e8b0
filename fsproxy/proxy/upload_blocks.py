"""Whose upload it is: blocked as its page was, by a filter of its own, or as its session's uid is (rules.md 1, 10)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from fsproxy.core.audit.uid_digest import uid_digest
from fsproxy.core.client_api.reading.identifying import accepted_uid, named_uids
from fsproxy.core.limits.operations import LedgerDown, Recalled
from fsproxy.core.model import Mode, Route
from fsproxy.core.pipeline import Decision, judge, mark, recall, settle

if TYPE_CHECKING:
    from fsproxy.core.client_api.inspection import Inspection
    from fsproxy.core.limits.operations import Answer, Ledger, Operation
    from fsproxy.core.model import Hit, SessionFacts
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.proxy.flow import Transaction
    from fsproxy.state.cache import BlockedPages


class UploadJudge:
    """Judges bundles, events, direct calls and sockets by what is known of their session."""

    def __init__(self, ledger: Ledger, blocked: BlockedPages) -> None:
        self._ledger = ledger
        self._blocked = blocked

    async def blocks(self, tx: Transaction, policy: OrgPolicy) -> bool:
        """Whether the request is blocked: as its page was, or by a filter of its own."""
        facts = tx.facts
        if facts is None:
            return False
        asked = recall(policy, facts)
        recalled = self._ledger.try_now(asked, tx.arrived) if asked else ()
        if recalled is None:
            # Both may wait for the store. The page's part is asked once a minute, and so is this.
            remembered, recalled = await asyncio.gather(self._block_of_page(policy, facts), self._ask(tx, asked))
        else:
            remembered = await self._block_of_page(policy, facts)
        if recalled and isinstance(recalled[0], Recalled) and recalled[0].uids:
            facts = tx.facts = msgspec.structs.replace(facts, uids=recalled[0].uids)
        if remembered is not None:
            tx.decision = Decision(block=remembered)
            return True
        tx.decision = settle(policy, judge(policy, facts, tx.arrived), None)
        return tx.decision.block is not None

    async def mark(self, tx: Transaction) -> None:
        """The session of what is forwarded is under way, and has the uid that its calls name."""
        if tx.facts is None or tx.route is Route.SERVER_API:
            return
        operations = mark(tx.facts, tx.uid)
        if self._ledger.try_now(operations, tx.arrived) is None:
            try:
                await self._ledger.ask(operations, tx.arrived, tx.generation.config.state.redis.timeout)
            except LedgerDown:
                tx.decision = Decision(shadow=tx.decision.shadow, failed=tx.decision.failed, ledger_down=True)

    async def is_of_deleted_user(self, tx: Transaction, policy: OrgPolicy, inspection: Inspection) -> bool:
        """Learn the session's uid from the calls, in ``tx``. True: one names a user who is being deleted.

        The session is known by that uid from then on, although its body is not forwarded.
        """
        facts, listed = tx.facts, policy.deleting_user
        if facts is None or tx.route is Route.SERVER_API:
            return False
        uid = accepted_uid(inspection)
        tx.uid = uid_digest(uid) if uid else 0
        found = tuple([uid_digest(each) for each in named_uids(inspection) if each in listed.users]) if listed else ()
        if not found:
            return False
        tx.facts = msgspec.structs.replace(facts, uids=facts.uids + found)
        decision = settle(policy, judge(policy, tx.facts, tx.arrived), None)
        if decision.block is not None:
            tx.uid = found[-1]
            await self.mark(tx)
        tx.decision = decision
        return decision.block is not None

    async def _block_of_page(self, policy: OrgPolicy, facts: SessionFacts) -> Hit | None:
        """Why the request's page was blocked, if it was and rules are enforced."""
        if not facts.page_id or policy.cap is not Mode.ENFORCE:
            return None
        return await self._blocked.find(facts.org or "", facts.page_id)

    async def _ask(self, tx: Transaction, operations: tuple[Operation, ...]) -> tuple[Answer, ...]:
        """The ledger's answers; none while it is down."""
        try:
            return await self._ledger.ask(operations, tx.arrived, tx.generation.config.state.redis.timeout)
        except LedgerDown:
            return ()
