"""Page requests: the ones on which a session is captured or blocked, and from whose answers is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from fsproxy.core.audit.uid_digest import uid_digest
from fsproxy.core.failures import Failure
from fsproxy.core.limits.operations import Admitted, LedgerDown, Operation
from fsproxy.core.model import Encoding, FilterName
from fsproxy.core.pipeline import judge, learn, mark, settle
from fsproxy.core.wire.facts import page_facts, usable_id
from fsproxy.core.wire.page import EMPTY_PAGE, AmbiguousPage, read_page, read_page_answer
from fsproxy.proxy.decoding import Undecodable, decode, encoding_of

if TYPE_CHECKING:
    from fsproxy.core.limits.operations import Ledger
    from fsproxy.core.model import Hit, SessionFacts
    from fsproxy.core.pipeline import Decision
    from fsproxy.core.wire.page import PageBody
    from fsproxy.proxy.flow import Transaction
    from fsproxy.proxy.forward import Forwarding
    from fsproxy.state.cache import BlockedPages


class Pages:
    """Answers page requests."""

    def __init__(self, ledger: Ledger, blocked: BlockedPages, forwarding: Forwarding) -> None:
        self._ledger = ledger
        self._blocked = blocked
        self._forwarding = forwarding

    async def answer(self, tx: Transaction, body: bytes) -> bool:
        """Judge the page; block it, or forward it as it came and learn from the answer."""
        page = await _read(tx, body)
        if page is None:
            tx.facts = page_facts(EMPTY_PAGE, tx.headers, tx.client)
            return self._forwarding.refuse(tx, Failure.UNINSPECTABLE)
        await self.judge(tx, page)
        if tx.decision.block is not None:
            return self._forwarding.block(tx)
        try:
            return await self._forwarding.send(tx, body)
        finally:
            await self._learn_from_relay(tx)

    async def judge(self, tx: Transaction, page: PageBody) -> None:
        """Decide on the page, in ``tx``; a blocked one is remembered, a new session has reserved its unit.

        A page that is read in several ways gets the strictest decision (rules.md 4).
        """
        facts = await self._judge_reading(tx, page, tx.token)
        if isinstance(page, AmbiguousPage) and tx.decision.block is None:
            await self._judge_other(tx, page.other, facts)
        if tx.decision.block is not None:
            await self._remember(tx, facts, tx.decision.block)

    async def _judge_other(self, tx: Transaction, other: PageBody, facts: SessionFacts) -> None:
        """Take the other reading's decision and facts if it blocks; else all stays as it is."""
        decision = tx.decision
        others_facts = await self._judge_reading(tx, other, f"{tx.token}-other")
        # One of the two is not acted upon, and gives back what it reserved.
        if tx.decision.block is not None:
            await self._give_back(tx, facts, decision)
            await self._remember(tx, others_facts, tx.decision.block)
        else:
            await self._give_back(tx, others_facts, tx.decision)
            tx.facts, tx.decision = facts, decision

    async def _give_back(self, tx: Transaction, facts: SessionFacts, decision: Decision) -> None:
        operations = learn(facts, decision, None)
        if operations:
            await self._ask(tx, operations)

    async def _judge_reading(self, tx: Transaction, page: PageBody, token: str) -> SessionFacts:
        policy = tx.generation.snapshot.policy(page.org_id if isinstance(page.org_id, str) else None)
        first_visit = policy.ramping is not None and not usable_id(page.user_id)
        facts = tx.facts = page_facts(
            page, tx.headers, tx.client, tx.locate(policy), fresh_user_id=str(uuid4()) if first_visit else ""
        )
        verdict = judge(policy, facts, tx.arrived, token)
        admitted = await self._ask(tx, (verdict.admit,)) if verdict.admit is not None else None
        tx.decision = settle(policy, verdict, admitted)
        return facts

    async def _remember(self, tx: Transaction, facts: SessionFacts, hit: Hit) -> None:
        if not self._blocked.remember_now(facts.org or "", facts.page_id, hit):
            await self._blocked.remember(facts.org or "", facts.page_id, hit)
        if facts.app_id and hit.filter is FilterName.DELETING_USER:
            # Other pages of this session may be open, from a time before this program knew its uid.
            await self._ask(tx, mark(facts, uid_digest(facts.app_id)))

    async def learn(self, tx: Transaction) -> None:
        """Tell the ledger what ``tx.answer`` means; None: the page failed on its way."""
        operations = learn(tx.facts, tx.decision, tx.answer) if tx.facts is not None else ()
        if operations:
            await self._ask(tx, operations)

    async def _ask(self, tx: Transaction, operations: tuple[Operation, ...]) -> Admitted | None:
        answers = self._ledger.try_now(operations, tx.arrived)
        if answers is None:
            try:
                answers = await self._ledger.ask(operations, tx.arrived, tx.generation.config.state.redis.timeout)
            except LedgerDown:
                return None
        first = answers[0] if answers else None
        return first if isinstance(first, Admitted) else None

    async def _learn_from_relay(self, tx: Transaction) -> None:
        relay = tx.relay
        if relay is None or not tx.decision.token:
            return
        if tx.failure is None and relay.head is not None:
            encoding = next((v for n, v in relay.head.headers if n.lower() == b"content-encoding"), b"")
            tx.answer = read_page_answer(relay.head.status, bytes(relay.copy or b""), encoding.decode("latin-1"))
        await self.learn(tx)


async def _read(tx: Transaction, body: bytes) -> PageBody | None:
    """A page request's fields; None when its body is not what it was said to be."""
    encoding, limit = encoding_of(tx), min(tx.most_body, tx.generation.config.server.max_decompressed)
    if encoding is Encoding.IDENTITY and len(body) <= limit:
        return read_page(body)
    try:
        decoded = await decode(body, encoding, limit)
    except Undecodable:
        return None
    if not decoded.is_sound:
        return None
    page = read_page(decoded.text)
    return read_page(decoded.first) if page is None and decoded.first is not None else page
