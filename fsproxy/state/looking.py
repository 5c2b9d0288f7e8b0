"""What is remembered, for one who only looks: the same answers, and nothing is counted, claimed, spent or kept.

A candidate configuration is judged with it on live traffic (``fsproxy try``).
"""

from __future__ import annotations

from collections.abc import Awaitable
from math import inf
from typing import TYPE_CHECKING, Any

from fsproxy.core.limits.page_clock import PageClock, first_clock, moved_back
from fsproxy.state.memory.blocked_pages import BlockedPages
from fsproxy.state.memory.page_clocks import PageClocks
from fsproxy.state.repeats import Repeats

if TYPE_CHECKING:
    from asyncio import Future

    from fsproxy.core.limits.operations import Answer, Operation
    from fsproxy.core.model import Hit, Instant
    from fsproxy.state.memory.ledger import MemoryLedger
    from fsproxy.state.redis.ledger import RedisLedger


class LookingLedger:
    """See ``Ledger``. Operations without an answer are not carried out, and those with one only answered."""

    def __init__(self, ledger: MemoryLedger | RedisLedger) -> None:
        self._ledger = ledger

    async def ask(self, operations: tuple[Operation, ...], now: Instant, deadline: float = inf) -> tuple[Answer, ...]:
        """Return what the ledger would answer. Raise LedgerDownError as it does."""
        return await self._ledger.look(operations, now, deadline)


class LookingBlockedPages(BlockedPages):
    """The blocked pages of another one, to which nothing is added."""

    def __init__(self, pages: BlockedPages) -> None:
        super().__init__(0)
        self._pages = pages

    def remember(self, org: str, page: str, hit: Hit) -> None:
        """Remember nothing."""

    def find(self, org: str, page: str) -> Awaitable[Hit | None]:
        """See ``BlockedPages``."""
        return self._pages.find(org, page)


class LookingRepeats(Repeats):
    """The verdicts of another one, to which nothing is added."""

    def __init__(self, repeats: Repeats) -> None:
        super().__init__(1)
        self._repeats = repeats

    async def find(self, org: str, digests: list[bytes]) -> list[bytes | None]:
        """See ``Repeats``."""
        return await self._repeats.find(org, digests)

    async def remember(self, org: str, verdicts: list[tuple[bytes, bytes]]) -> None:
        """Remember nothing."""


class LookingClocks(PageClocks):
    """The clocks of another one, none of which is fixed or moved.

    A shared clock is not asked for: the first upload of a page on a process has the clock that it would fix itself.
    """

    def __init__(self, clocks: PageClocks) -> None:
        super().__init__(0)
        self._inner = clocks

    def find(self, org: str, page: str) -> PageClock | None:
        """See ``PageClocks``."""
        return self._inner.find(org, page)

    def fix(self, org: str, page: str, first: float, latest: float, now: Instant) -> PageClock:  # noqa: ARG002 - nothing is dated
        """Return the clock that the page would have."""
        known = self._inner.find(org, page)
        return first_clock(first) if known is None else moved_back(known, latest)

    def asked(self, org: str, page: str) -> Future[Any] | None:  # noqa: ARG002 - nothing is asked
        """Return None: there is nothing to wait for."""
        return None
