"""Pages' clocks: fixed at each page's first upload, moved back by later ones (rules.md 2)."""

from __future__ import annotations

from asyncio import Future
from typing import Any

from fsproxy.core.limits.operations import SESSION_LIFE_SECONDS
from fsproxy.core.limits.page_clock import PageClock, first_clock, moved_back
from fsproxy.core.model import Instant
from fsproxy.state.memory.expiring_table import ExpiringTable
from fsproxy.state.memory.keys import PAGE, key_of

_SLICE = 600.0


class PageClocks:
    """Clocks by org and page, kept for 24 hours, at most ``bound`` (about 230 bytes each).

    When they are full, the page that was fixed longest ago (to 10 minutes) goes first. Its next upload fixes it anew.
    """

    def __init__(self, bound: int = 500_000) -> None:
        # Offset, earliest offset, and when it was fixed.
        self._clocks: ExpiringTable[tuple[float, float, float]] = ExpiringTable(
            bound, SESSION_LIFE_SECONDS, _SLICE, lambda _, kept: kept[2]
        )

    def __len__(self) -> int:
        return len(self._clocks)

    @property
    def evicted(self) -> int:
        """Clocks that were forgotten to make room, since the start."""
        return self._clocks.evicted

    def find(self, org: str, page: str) -> PageClock | None:
        """Return the page's clock; None before its first upload, or when the page has no id."""
        if not page:
            return None
        kept = self._clocks.get(key_of(PAGE, org, page))
        return PageClock(kept[0], kept[1]) if kept is not None else None

    def fix(self, org: str, page: str, first: float, latest: float, now: Instant) -> PageClock:
        """Fix the page's clock at the offset ``first``, or move the one that it has back to ``latest``; return it.

        The clock of a page without id is not kept. Shared clocks ask, and do not wait for the answer: see ``asked``.
        """
        if not page:
            return first_clock(first)
        key = key_of(PAGE, org, page)
        kept = self._clocks.get(key)
        if kept is None:
            self._clocks.sweep(now)
            clock, since = first_clock(first), float(now)
        else:
            clock, since = moved_back(PageClock(kept[0], kept[1]), latest), kept[2]
            if clock.offset == kept[0]:
                return clock
        self._clocks.put(key, (clock.offset, clock.earliest, since), since)
        return clock

    def asked(self, org: str, page: str) -> Future[Any] | None:  # noqa: ARG002 - memory is shared with no other process
        """Return what to wait for before ``find`` returns the page's clock in all processes; None: it does already."""
        return None
