"""Pages' clocks that all processes share: a page's first upload may reach any of them (rules.md 2).

Redis keeps the offset on its own clock, so that machines whose clocks differ mean the same moment. What was
told is kept here as well; a page is asked about once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from fsproxy.core.limits.operations import LedgerDown
from fsproxy.shell.ledger.page_clocks import PageClocks

if TYPE_CHECKING:
    from fsproxy.core.model import Instant
    from fsproxy.shell.ledger.redis import RedisLedger


class SharedPageClocks(PageClocks):
    """See ``PageClocks``. With the store down a page's clock is this process's own."""

    def __init__(self, ledger: RedisLedger, bound: int = 500_000) -> None:
        super().__init__(bound)
        self._ledger = ledger

    def fix(self, org: str, page: str, offset: float, now: Instant) -> float:
        """Fix it here and tell the others behind; should another process have been first, theirs will stand."""
        fixed = super().fix(org, page, offset, now)
        if page:
            try:
                asked = self._ledger.fix_clock(org, page, fixed)
            except LedgerDown:
                return fixed
            asked.add_done_callback(lambda done: self._told(org, page, now, done))
        return fixed

    def settle(self, org: str, page: str, offset: float, now: Instant, deadline: float) -> float | Awaitable[float]:
        """The one that stands, after a round trip shared with what else is asked in this tick."""
        if not page:
            return offset
        try:
            asked = self._ledger.fix_clock(org, page, offset)
        except LedgerDown:
            return super().fix(org, page, offset, now)
        return asyncio.ensure_future(self._settled(asked, org, page, offset, now, deadline))

    async def _settled(
        self, asked: asyncio.Future[list[Any]], org: str, page: str, offset: float, now: Instant, deadline: float
    ) -> float:
        await asyncio.wait([asked], timeout=max(deadline, 0.0))
        told = self._told(org, page, now, asked) if asked.done() else None
        return told if told is not None else super().fix(org, page, offset, now)

    def _told(self, org: str, page: str, now: Instant, done: asyncio.Future[list[Any]]) -> float | None:
        if done.cancelled() or done.exception() is not None:
            return None
        offset = float(done.result()[0]) - self._ledger.skew
        self.replace(org, page, offset, now)
        return offset
