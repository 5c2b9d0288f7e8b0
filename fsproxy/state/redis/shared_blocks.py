"""Blocked pages that all processes share, as a page's bundles may reach any of them (rules.md 1).

A block is written with the other commands of its tick, and its answer does not wait for that. Another process asks
once a minute for a page; should its question overtake the block, a bundle is forwarded. Redis keeps a block for 15
minutes after it was last asked for. What more is blocked than ``rate`` allows, this process alone remembers, and
everything while Redis is nearly full: its memory belongs to the limits (rules.md 5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from fsproxy.core.limits.operations import LedgerDownError
from fsproxy.core.model import Hit
from fsproxy.state.memory.blocked_pages import (
    BLOCKED_PAGES,
    NOT_BLOCKED,
    BlockedPages,
    PageKey,
    page_key,
)
from fsproxy.state.memory.bounded_table import BoundedTable
from fsproxy.state.redis.caches import NodeCaches
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.wire import block_to_wire, blocked_to_wire, hit_from
from fsproxy.state.redis.write_limits import WriteRate

ASKED_SECONDS = 60.0
"""A page is asked about again after this long, whether it was blocked or not."""


class SharedBlockedPages(BlockedPages):
    """See ``BlockedPages``: this process's memory first, then Redis."""

    def __init__(self, ledger: RedisLedger, caches: NodeCaches, rate: WriteRate, bound: int = BLOCKED_PAGES) -> None:
        super().__init__(bound)
        self._ledger = ledger
        self._caches = caches
        self._rate = rate
        self._asked: BoundedTable[PageKey, bool] = BoundedTable(bound // 2)
        """Pages that Redis learned of, or was asked about, a moment ago."""

    def remember(self, org: str, page: str, hit: Hit) -> None:
        """Keep why the page was blocked here, and send it behind as far as it may be written."""
        super().remember(org, page, hit)
        # The rate is asked first: in a flood of blocked pages it says no nearly always.
        if page and self._rate.take(org, 1) and not self._ledger.is_down(org) and not self._caches.is_full(org):
            self._send(org, page, block_to_wire(org, page, hit))

    def find(self, org: str, page: str) -> Awaitable[Hit | None]:
        """Return why the page was blocked. Redis is asked in time to keep a block that is known here."""
        if not page:
            return NOT_BLOCKED
        asked = None
        if not self._asked.find(page_key(org, page)):
            asked = self._send(org, page, blocked_to_wire(org, page))
        known = super().find(org, page)
        return known if asked is None or known is not NOT_BLOCKED else asked

    def _send(self, org: str, page: str, operation: list[Any]) -> asyncio.Future[Hit | None] | None:
        """Send an operation, and keep what Redis answers. None: the store is down. The future never fails."""
        found: asyncio.Future[Hit | None] = asyncio.get_running_loop().create_future()

        def answered(done: asyncio.Future[list[Any]]) -> None:
            hit = None
            if not done.cancelled() and done.exception() is None:
                hit = hit_from(done.result()[0])
                if hit is not None:
                    super(SharedBlockedPages, self).remember(org, page, hit)
                self._asked.put(page_key(org, page), value=True, seconds=ASKED_SECONDS)
            if not found.done():
                found.set_result(hit)

        try:
            self._ledger.send(org, operation).add_done_callback(answered)
        except LedgerDownError:
            return None
        return found
