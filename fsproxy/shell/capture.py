"""Bundles, events, sockets and direct calls: judged with the facts that their queries and headers give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsproxy.core.facts import bundle_facts, bundle_query
from fsproxy.core.model import Mode, Route
from fsproxy.core.pipeline import Decision, judge, mark, settle

if TYPE_CHECKING:
    from fsproxy.core.limits.operations import Ledger
    from fsproxy.core.model import SessionFacts
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.shell.cache import BlockedPages
    from fsproxy.shell.connection import Answered
    from fsproxy.shell.forwarding import Forwarding
    from fsproxy.shell.transaction import Transaction


class Capture:
    """Answers every capture route but the page's."""

    def __init__(self, ledger: Ledger, blocked: BlockedPages, forwarding: Forwarding) -> None:
        self._ledger = ledger
        self._blocked = blocked
        self._forwarding = forwarding

    async def answer(self, tx: Transaction, body: bytes) -> Answered:
        """Judge, then forward as it came."""
        policy = self._policy(tx)
        if tx.route is not Route.SERVER_API and await self._blocks(tx, policy):
            return self._block(tx)
        self._mark(tx)
        return await self._forwarding.send(tx, body)

    async def socket(self, tx: Transaction) -> Answered:
        """Judge the upgrade, then pass frames."""
        if await self._blocks(tx, self._policy(tx)):
            return self._block(tx)
        return await self._forwarding.tunnel(tx)

    def _policy(self, tx: Transaction) -> OrgPolicy:
        query = tx.upload = bundle_query(tx.query)
        policy = tx.generation.snapshot.policy(query.org_id or None)
        tx.facts = bundle_facts(tx.route, query, tx.headers, tx.client, tx.locate(policy))
        return policy

    async def _blocks(self, tx: Transaction, policy: OrgPolicy) -> bool:
        facts: SessionFacts | None = tx.facts
        if facts is None:
            return False
        if facts.page_id and policy.cap is Mode.ENFORCE:
            remembered = await self._blocked.find(facts.org or "", facts.page_id)
            if remembered is not None:
                tx.decision = Decision(block=remembered)
                return True
        tx.decision = settle(policy, judge(policy, facts, tx.arrived), None)
        return tx.decision.block is not None

    def _block(self, tx: Transaction) -> Answered:
        return self._forwarding.block(tx)

    def _mark(self, tx: Transaction) -> None:
        if tx.facts is not None:
            self._ledger.try_now(mark(tx.facts), tx.arrived)
