"""Page requests: the ones on which a session is captured or blocked, and from whose answers is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from fsproxy.core.failures import Failure
from fsproxy.core.limits.operations import Admitted, LedgerDownError, Operation
from fsproxy.core.model import Encoding, FilterName
from fsproxy.core.pipeline import judge, learn, mark, settle
from fsproxy.core.uid_digest import uid_digest
from fsproxy.core.wire.facts import page_facts, usable_id
from fsproxy.core.wire.page import EMPTY_PAGE, AmbiguousPage, read_page, read_page_answer
from fsproxy.proxy.decoding import UndecodableError, decode, encoding_of

if TYPE_CHECKING:
    from fsproxy.core.limits.operations import Ledger
    from fsproxy.core.model import Hit, SessionFacts
    from fsproxy.core.pipeline import Decision
    from fsproxy.core.wire.page import PageBody
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.forward import Forwarding
    from fsproxy.state.cache import BlockedPages


class PageHandler:
    """Answers page requests."""

    def __init__(self, ledger: Ledger, blocked: BlockedPages, forwarding: Forwarding) -> None:
        self._ledger = ledger
        self._blocked = blocked
        self._forwarding = forwarding

    async def answer(self, flow: Flow, body: bytes) -> bool:
        """Judge the page; block it, or forward it as it came and learn from the answer."""
        page = await _read(flow, body)
        if page is None:
            flow.facts = page_facts(EMPTY_PAGE, flow.headers, flow.client)
            return self._forwarding.refuse(flow, Failure.UNINSPECTABLE)
        await self.judge(flow, page)
        if flow.decision.block is not None:
            return self._forwarding.block(flow)
        try:
            return await self._forwarding.send(flow, body)
        finally:
            await self._learn_from_relay(flow)

    async def judge(self, flow: Flow, page: PageBody) -> None:
        """Decide on the page, in ``flow``; a blocked one is remembered, a new session has reserved its unit.

        A page that is read in several ways gets the strictest decision (rules.md 4).
        """
        facts = await self._judge_reading(flow, page, flow.token)
        if isinstance(page, AmbiguousPage) and flow.decision.block is None:
            await self._judge_other(flow, page.other, facts)
        if flow.decision.block is not None:
            await self._remember(flow, facts, flow.decision.block)

    async def _judge_other(self, flow: Flow, other: PageBody, facts: SessionFacts) -> None:
        """Take the other reading's decision and facts if it blocks; else all stays as it is."""
        decision = flow.decision
        others_facts = await self._judge_reading(flow, other, f"{flow.token}-other")
        # One of the two is not acted upon, and gives back what it reserved.
        if flow.decision.block is not None:
            await self._give_back(flow, facts, decision)
            await self._remember(flow, others_facts, flow.decision.block)
        else:
            await self._give_back(flow, others_facts, flow.decision)
            flow.facts, flow.decision = facts, decision

    async def _give_back(self, flow: Flow, facts: SessionFacts, decision: Decision) -> None:
        operations = learn(facts, decision, None)
        if operations:
            await self._ask(flow, operations)

    async def _judge_reading(self, flow: Flow, page: PageBody, token: str) -> SessionFacts:
        policy = flow.generation.snapshot.policy(page.org_id if isinstance(page.org_id, str) else None)
        first_visit = policy.ramping is not None and not usable_id(page.user_id)
        facts = flow.facts = page_facts(
            page, flow.headers, flow.client, flow.locate(policy), fresh_user_id=str(uuid4()) if first_visit else ""
        )
        verdict = judge(policy, facts, flow.arrived, token)
        admitted = await self._ask(flow, (verdict.admit,)) if verdict.admit is not None else None
        flow.decision = settle(policy, verdict, admitted)
        return facts

    async def _remember(self, flow: Flow, facts: SessionFacts, hit: Hit) -> None:
        if not self._blocked.remember_now(facts.org or "", facts.page_id, hit):
            await self._blocked.remember(facts.org or "", facts.page_id, hit)
        if facts.app_id and hit.filter is FilterName.DELETING_USER:
            # Other pages of this session may be open, from a time before this program knew its uid.
            await self._ask(flow, mark(facts, uid_digest(facts.app_id)))

    async def learn(self, flow: Flow) -> None:
        """Tell the ledger what ``flow.answer`` means; None: the page failed on its way."""
        operations = learn(flow.facts, flow.decision, flow.answer) if flow.facts is not None else ()
        if operations:
            await self._ask(flow, operations)

    async def _ask(self, flow: Flow, operations: tuple[Operation, ...]) -> Admitted | None:
        answers = self._ledger.try_now(operations, flow.arrived)
        if answers is None:
            try:
                answers = await self._ledger.ask(operations, flow.arrived, flow.generation.config.state.redis.timeout)
            except LedgerDownError:
                return None
        first = answers[0] if answers else None
        return first if isinstance(first, Admitted) else None

    async def _learn_from_relay(self, flow: Flow) -> None:
        writer = flow.writer
        if writer is None or not flow.decision.token:
            return
        if flow.failure is None and writer.head is not None:
            encoding = next((v for n, v in writer.head.headers if n.lower() == b"content-encoding"), b"")
            flow.answer = read_page_answer(writer.head.status, bytes(writer.copy or b""), encoding.decode("latin-1"))
        await self.learn(flow)


async def _read(flow: Flow, body: bytes) -> PageBody | None:
    """A page request's fields; None when its body is not what it was said to be."""
    encoding, limit = encoding_of(flow), min(flow.most_body, flow.generation.config.server.max_decompressed)
    if encoding is Encoding.IDENTITY and len(body) <= limit:
        return read_page(body)
    try:
        decoded = await decode(body, encoding, limit)
    except UndecodableError:
        return None
    if not decoded.is_sound:
        return None
    page = read_page(decoded.text)
    return read_page(decoded.first) if page is None and decoded.first is not None else page
