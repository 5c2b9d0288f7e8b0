"""Page requests: they decide whether a session is captured, and the upstream's answers to them teach the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from fsproxy.core.failures import Failure
from fsproxy.core.limits.operations import Admitted
from fsproxy.core.model import Encoding, FilterName
from fsproxy.core.pipeline import judge, learn, mark, settle
from fsproxy.core.uid_digest import uid_digest
from fsproxy.core.wire.facts import page_facts, usable_id
from fsproxy.core.wire.page import EMPTY_PAGE, AmbiguousPage, read_page, read_page_answer
from fsproxy.proxy.decoding import UndecodableError, decode, encoding_of
from fsproxy.proxy.redacting import redacted_body
from fsproxy.proxy.upload_blocks import ask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fsproxy.core.limits.operations import Ledger
    from fsproxy.core.model import SessionFacts
    from fsproxy.core.pipeline import Decision
    from fsproxy.core.wire.page import PageBody
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.forward import Forwarder
    from fsproxy.state.memory.blocked_pages import BlockedPages


_DELETING_USER = FilterName.DELETING_USER


class PageHandler:
    """Answers page requests."""

    def __init__(self, ledger: Ledger, blocked: BlockedPages, forwarder: Forwarder) -> None:
        self._ledger = ledger
        self._blocked = blocked
        self._forwarder = forwarder
        self.answer: Callable[[Flow, bytes], Awaitable[bool]] = self.decide_and_answer
        """Answers a page; a trial puts itself before it."""

    async def decide_and_answer(self, flow: Flow, body: bytes) -> bool:
        """Decide on the page; block it, or forward it as it came and learn from the answer."""
        limit = flow.generation.config.server.max_decompressed
        if not flow.query and b"content-encoding" not in flow.headers and len(body) <= limit:
            page = read_page(body)
        else:
            page = await _read(flow, body, min(flow.most_body, limit))
        if page is None and not flow.generation.forwards_unreadable:
            flow.facts = page_facts(EMPTY_PAGE, flow.headers, flow.client)
            return self._forwarder.refuse(flow, Failure.UNINSPECTABLE)
        page = page or EMPTY_PAGE  # its headers may opt out
        await self.decide(flow, page)
        if flow.decision.block is not None:
            return self._forwarder.block(flow)
        rules = flow.generation.redaction
        try:
            if rules is not None:
                redacted = await redacted_body(flow, rules, body)
                if redacted is None:
                    await self.learn(flow)
                    return self._forwarder.refuse(flow, Failure.UNINSPECTABLE)
                body = redacted
            return await self._forwarder.send(flow, body)
        finally:
            await self._learn_from_answer(flow)

    async def decide(self, flow: Flow, page: PageBody) -> None:
        """Decide on the page, in ``flow``. Remember a blocked one; reserve a new session's unit of the quota.

        A page that readers could read in two ways gets the stricter decision (rules.md 4).
        """
        facts = await self._decide_reading(flow, page, flow.token)
        if isinstance(page, AmbiguousPage) and flow.decision.block is None:
            facts = await self._decide_other(flow, page.other, facts)
        block = flow.decision.block
        if block is not None:
            self._blocked.remember(facts.org or "", facts.page_id, block)
            if facts.app_id and block.filter is _DELETING_USER:
                # Other pages of this session may have been opened before this program knew its uid.
                await ask(self._ledger, flow, mark(facts, uid_digest(facts.app_id), listed=True))

    async def _decide_other(self, flow: Flow, other: PageBody, facts: SessionFacts) -> SessionFacts:
        """Take the other reading's decision and facts if it blocks; else keep those of the first. Return the facts."""
        decision = flow.decision
        others_facts = await self._decide_reading(flow, other, f"{flow.token}-other")
        # The reading that is not acted upon gives back what it reserved.
        if flow.decision.block is not None:
            await self._give_back(flow, facts, decision)
            return others_facts
        await self._give_back(flow, others_facts, flow.decision)
        flow.facts, flow.decision = facts, decision
        return facts

    async def _give_back(self, flow: Flow, facts: SessionFacts, decision: Decision) -> None:
        operations = learn(facts, decision, None)
        if operations:
            await ask(self._ledger, flow, operations)

    async def _decide_reading(self, flow: Flow, page: PageBody, token: str) -> SessionFacts:
        snapshot, org = flow.generation.snapshot, page.org_id
        policy = flow.policy = snapshot.orgs.get(org, snapshot.default) if isinstance(org, str) else snapshot.default
        facts = flow.facts = page_facts(
            page,
            flow.headers,
            flow.client,
            flow.locate(policy.geo_source) if policy.geo_source is not None else None,
            (flow.fresh_user_id or str(uuid4())) if policy.draws and not usable_id(page.user_id) else "",
        )
        decision = judge(policy, facts, flow.arrived, token)
        if decision.admit is not None:
            answers = await ask(self._ledger, flow, (decision.admit,))
            admitted = answers[0] if answers else None
            decision = settle(policy, decision, admitted if isinstance(admitted, Admitted) else None)
        flow.decision = decision
        return facts

    async def learn(self, flow: Flow) -> None:
        """Let the ledger confirm or release what the page reserved, by ``flow.answer``; None: the page failed."""
        operations = learn(flow.facts, flow.decision, flow.answer) if flow.facts is not None else ()
        if operations:
            await ask(self._ledger, flow, operations)

    async def _learn_from_answer(self, flow: Flow) -> None:
        writer = flow.writer
        if writer is None or not flow.decision.token or flow.facts is None:
            return
        if flow.failure is None and writer.head is not None:
            encoding = writer.head.headers.get(b"content-encoding", b"").decode("latin-1")
            flow.answer = read_page_answer(writer.head.status, writer.copy or b"", encoding)
        operations = learn(flow.facts, flow.decision, flow.answer)
        if operations:
            await ask(self._ledger, flow, operations)


async def _read(flow: Flow, body: bytes, limit: int) -> PageBody | None:
    """Return a page request's fields; None when its body is not of the encoding that it announces, or no page."""
    encoding = encoding_of(flow)
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
