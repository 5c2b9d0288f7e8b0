"""A sample of the last ten minutes' pages, to judge them again before another configuration takes over.

Of each minute at most 200 pages are kept, every one with the same chance: at most 2,200 in all, about 3 KB each. It is
only done while ``reload.max_change`` is set.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from copy import copy
from math import inf
from random import random
from typing import TYPE_CHECKING, Any

import msgspec

from fsproxy.core.failures import Failure
from fsproxy.core.limits.operations import Admit, Admitted, LedgerDownError
from fsproxy.core.model import PAGE
from fsproxy.core.pipeline import CAPTURE
from fsproxy.core.trial.tally import Tally
from fsproxy.core.wire.facts import page_facts
from fsproxy.core.wire.page import PageBody, read_page
from fsproxy.http.payload import WholeBody
from fsproxy.proxy.page import PageHandler
from fsproxy.proxy.trial.candidate import Nowhere, begun_by
from fsproxy.proxy.trial.seen import seen, side

if TYPE_CHECKING:
    from fsproxy.core.audit.privacy import MaskAddress
    from fsproxy.core.limits.operations import Answer, Operation, QuotaTerms
    from fsproxy.core.model import Instant
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.generation import Generation
    from fsproxy.proxy.trial.trial import Judges
    from fsproxy.state.looking import LookingLedger

KEPT_MINUTES = 10
MOST_OF_A_MINUTE = 200
LONGEST_BODY = 16 * 1024
"""Bytes of a page that is kept. Real ones have about 1 KB."""
AT_ONCE = 10
"""Pages that are judged without letting others run: about a millisecond's."""


class Peer(msgspec.Struct):
    """What is kept of a client's connection."""

    peer: str | None
    secure: bool


class KeptPage(msgspec.Struct):
    """A page, with what only the ledger knew at its time."""

    flow: Flow
    page: PageBody
    admitted: Admitted


class _Minute(msgspec.Struct):
    number: int
    pages: int = 0
    kept: list[KeptPage] = msgspec.field(default_factory=list)


class _Remembered:
    """A ledger that knows of a session what was known at its page's time, and of quotas what is known now."""

    def __init__(self, ledger: LookingLedger) -> None:
        self._ledger = ledger
        self._over: dict[tuple[str, str, int], bool] = {}
        self.admitted = Admitted(False, False, False)

    async def ask(self, operations: tuple[Operation, ...], now: Instant, deadline: float = inf) -> tuple[Answer, ...]:
        """See ``Ledger``."""
        del deadline
        return tuple([await self._admit(each, now) if isinstance(each, Admit) else None for each in operations])

    async def _admit(self, op: Admit, now: Instant) -> Admitted:
        if self.admitted.under_way:
            return self.admitted
        over = op.quota is not None and await self._is_over(op.org, op.quota, now)
        shared = op.share_user != "" and await self._is_share_admitted(op.org, op.share_user, now)
        return Admitted(False, self.admitted.user_admitted, over, share_admitted=shared)

    async def _is_share_admitted(self, org: str, user: str, now: Instant) -> bool:
        # Which rule would ask was not known at the page's time.
        (answer,) = await self._ledger.ask((Admit(org, "", "", "", False, None, user),), now)
        return isinstance(answer, Admitted) and answer.share_admitted

    async def _is_over(self, org: str, terms: QuotaTerms, now: Instant) -> bool:
        key = org, terms.cycle, terms.limit
        if key not in self._over:
            (answer,) = await self._ledger.ask((Admit(org, "", "", "", False, terms),), now)
            self._over[key] = isinstance(answer, Admitted) and answer.over_quota
        return self._over[key]


class KeptPages:
    """Keeps pages from ``start`` to ``stop``, and judges them again."""

    def __init__(self, judges: Judges, draw: Callable[[], float] = random) -> None:
        """``draw`` returns a number from 0 to 1."""
        self._judges = judges
        self._draw = draw
        self._looking = judges.stores.looking()
        self._minutes: deque[_Minute] = deque(maxlen=KEPT_MINUTES + 1)
        self._live = judges.pages.answer

    def start(self) -> None:
        """Keep pages from the next one on."""
        self._judges.pages.answer = self._answer

    def stop(self) -> None:
        """Keep no more."""
        self._judges.pages.answer = self._live

    def __len__(self) -> int:
        return sum(len(minute.kept) for minute in self._minutes)

    async def judged(
        self, before: Generation, generation: Generation, now: Instant, mask: MaskAddress
    ) -> tuple[float, Tally]:
        """Return the share of the last ten minutes' pages that get another code, and what changes in the sample.

        Both generations judge them now: what was decided then may be of rules or a mode that ``before`` has replaced.
        """
        ledger, tally, pages, changed = _Remembered(self._looking.ledger), Tally(), 0.0, 0.0
        handler = PageHandler(ledger, self._looking.blocked_pages, Nowhere())
        since = int(now // 60) - KEPT_MINUTES
        for minute in [each for each in self._minutes if since <= each.number <= now // 60 and each.kept]:
            kept = tuple(minute.kept)
            for number, each in enumerate(kept):
                if not number % AT_ONCE:
                    await asyncio.sleep(0)
                ledger.admitted = each.admitted
                beside = await _again(handler, each, generation)
                then = await _again(handler, each, before)
                old, new = side(then), side(beside)
                pages += minute.pages / len(kept)
                changed += minute.pages / len(kept) if new.code != old.code else 0.0
                facts = page_facts(each.page, each.flow.headers, each.flow.client)
                tally.note_page(old, new, each.flow.request_id, seen(then, facts, beside, mask))
        return changed / pages if pages else 0.0, tally

    # -- pages

    def _answer(self, flow: Flow, body: bytes) -> Awaitable[bool]:
        number = int(flow.arrived // 60)
        if not self._minutes or self._minutes[-1].number != number:
            self._minutes.append(_Minute(number))
        minute = self._minutes[-1]
        minute.pages += 1
        place = len(minute.kept) if len(minute.kept) < MOST_OF_A_MINUTE else int(self._draw() * minute.pages)
        return self._keep(flow, body, minute, place) if place < MOST_OF_A_MINUTE else self._live(flow, body)

    async def _keep(self, flow: Flow, body: bytes, minute: _Minute, place: int) -> bool:
        kept = await self._looked_at(flow, body)
        try:
            return await self._live(flow, body)
        finally:
            if kept is not None and flow.policy is not None and flow.failure is not Failure.INTERNAL:
                if place < len(minute.kept):
                    minute.kept[place] = kept
                elif len(minute.kept) < MOST_OF_A_MINUTE:
                    minute.kept.append(kept)

    async def _looked_at(self, flow: Flow, body: bytes) -> KeptPage | None:
        """Return the page with what is known of its session before it is decided; None: it is not kept."""
        page = read_page(body) if len(body) <= LONGEST_BODY else None
        if page is None:
            return None
        facts = page_facts(page, flow.headers, flow.client)
        user = facts.user_id
        question = Admit(facts.org or "", flow.token, facts.session_id, user, False, None, ramped_user=user)
        try:
            (answer,) = await self._looking.ledger.ask((question,), flow.arrived)
        except LedgerDownError:
            return None
        return KeptPage(_detached(flow), page, answer) if isinstance(answer, Admitted) else None


def _detached(flow: Flow) -> Flow:
    """Return the flow without what would keep its connection, its body and its generation in memory."""
    kept: Any = copy(flow)
    kept.connection, kept.payload = Peer(flow.connection.peer, flow.connection.secure), WholeBody(b"")
    kept.generation = kept.on_gone = None
    found: Flow = kept
    return found


async def _again(handler: PageHandler, kept: KeptPage, generation: Generation) -> Flow:
    flow = begun_by(generation, kept.flow)
    flow.decision = CAPTURE
    if flow.route is PAGE and generation.judges:
        await handler.decide(flow, kept.page)
    return flow
