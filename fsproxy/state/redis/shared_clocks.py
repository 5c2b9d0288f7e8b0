"""Pages' clocks that all processes share, as a page's uploads may reach any of them (rules.md 2).

Redis keeps the offset on its own clock, so that machines whose clocks differ mean the same moment. Its answer is kept
here as well: a page is asked about once, and when an upload moves its clock.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fsproxy.core.limits.operations import LedgerDownError
from fsproxy.core.limits.page_clock import PageClock
from fsproxy.core.model import Instant
from fsproxy.state.memory.keys import KeyKind, key_of
from fsproxy.state.memory.page_clocks import PageClocks
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.script import CLOCK_SECONDS
from fsproxy.state.redis.wire import clock_to_wire
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
        self._asked: dict[int, asyncio.Future[list[Any]]] = {}
        """Questions under way, by the page's key."""

    def fix(self, org: str, page: str, first: float, latest: float, now: Instant) -> PageClock:
        """Fix or move it here, and send that behind. If another process was first, that one's will replace it."""
        key = key_of(KeyKind.PAGE, org, page)
        before = self._clocks.get(key)
        fixed = super().fix(org, page, first, latest, now)
        if before is None or fixed.offset != before[0]:
            if page and self._rate.take(org, 1):
                self._send(org, page, first, latest, now)
        elif now - before[2] >= RENEWED_SECONDS:
            self._clocks.put(key, (before[0], before[1], now))
            if self._rate.take(org, 1):
                # One that is gone is written anew.
                self._send(org, page, before[0], before[0], now)
        return fixed

    def asked(self, org: str, page: str) -> asyncio.Future[Any] | None:
        """Return the store's answer that replaces the clock, if it was asked."""
        return self._asked.get(key_of(KeyKind.PAGE, org, page))

    def _send(self, org: str, page: str, first: float, latest: float, now: Instant) -> None:
        key, skew = key_of(KeyKind.PAGE, org, page), self._ledger.skew(org)
        try:
            asked = self._ledger.send(org, clock_to_wire(org, page, first, latest, skew))
        except LedgerDownError:
            return
        self._asked[key] = asked
        asked.add_done_callback(lambda done: self._learn(org, key, now, done))

    def _learn(self, org: str, key: int, now: Instant, done: asyncio.Future[list[Any]]) -> None:
        """Let the store's clock replace the one that is kept here."""
        if self._asked.get(key) is done:
            del self._asked[key]
        if not done.cancelled() and done.exception() is None:
            skew = self._ledger.skew(org)
            offset, earliest = done.result()[0]
            self._clocks.put(key, (float(offset) - skew, float(earliest) - skew, now))
