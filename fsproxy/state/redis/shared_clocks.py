"""Pages' clocks that all processes share, as a page's uploads may reach any of them (rules.md 2).

Redis keeps the offset on its own clock, so that machines whose clocks differ mean the same moment. Its answer is kept
here as well: a page is asked about once, and when an upload moves its clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from fsproxy.core.limits.operations import LedgerDownError
from fsproxy.core.limits.page_clock import PageClock
from fsproxy.core.model import Instant
from fsproxy.state.memory.keys import KeyKind, key_of
from fsproxy.state.memory.page_clocks import PageClocks
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.script import CLOCK_SECONDS
from fsproxy.state.redis.write_limits import WriteRate

RENEWED_SECONDS = CLOCK_SECONDS / 3


class SharedPageClocks(PageClocks):
    """See ``PageClocks``. With the store down, or over ``rate``, a page's clock is this process's own.

    The store keeps a clock for 15 minutes after it was last asked for. A page may go on for longer, so its clock is
    asked for again every 5 minutes.
    """

    def __init__(self, ledger: RedisLedger, rate: WriteRate, bound: int = 500_000) -> None:
        super().__init__(bound)
        self._ledger = ledger
        self._rate = rate

    def fix(self, org: str, page: str, first: float, latest: float, now: Instant) -> PageClock:
        """Fix it here and send it behind. If another process was first, that one's will replace it."""
        fixed = super().fix(org, page, first, latest, now)
        if page and self._rate.take(org, 1):
            self._send_behind(org, page, first, latest, now)
        return fixed

    def renew(self, org: str, page: str, now: Instant) -> None:
        """Ask for a known clock before the store forgets it. One that is gone is written anew."""
        key = key_of(KeyKind.PAGE, org, page)
        kept = self._clocks.get(key)
        if kept is None or now - kept[2] < RENEWED_SECONDS:
            return
        self._clocks.put(key, (kept[0], kept[1], now))
        if self._rate.take(org, 1):
            self._send_behind(org, page, kept[0], kept[0], now)

    def resolve(
        self, org: str, page: str, first: float, latest: float, now: Instant, deadline: float
    ) -> PageClock | Awaitable[PageClock]:
        """Return the shared clock, after a round trip that is shared with what else is asked in this tick."""
        asked = self._ask(org, page, first, latest) if page and self._rate.take(org, 1) else None
        if asked is None:
            return super().fix(org, page, first, latest, now)
        fix_here = super().fix

        async def resolved() -> PageClock:
            await asyncio.wait([asked], timeout=max(deadline, 0.0))
            clock = self._keep(org, page, now, asked) if asked.done() else None
            return clock if clock is not None else fix_here(org, page, first, latest, now)

        return asyncio.ensure_future(resolved())

    def _ask(self, org: str, page: str, first: float, latest: float) -> asyncio.Future[list[Any]] | None:
        try:
            return self._ledger.fix_clock(org, page, first, latest)
        except LedgerDownError:
            return None

    def _send_behind(self, org: str, page: str, first: float, latest: float, now: Instant) -> None:
        asked = self._ask(org, page, first, latest)
        if asked is not None:
            asked.add_done_callback(lambda done: self._keep(org, page, now, done))

    def _keep(self, org: str, page: str, now: Instant, done: asyncio.Future[list[Any]]) -> PageClock | None:
        """Let the store's clock replace the one that is kept here, and return it. None: the store did not answer."""
        if done.cancelled() or done.exception() is not None:
            return None
        skew = self._ledger.skew
        offset, earliest = done.result()[0]
        clock = PageClock(float(offset) - skew, float(earliest) - skew)
        self._clocks.put(key_of(KeyKind.PAGE, org, page), (clock.offset, clock.earliest, now))
        return clock
