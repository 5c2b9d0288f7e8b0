"""The offsets of pages' clocks, fixed at each page's first upload (rules.md 2, "Time of a call in an upload")."""

from __future__ import annotations

from collections.abc import Awaitable

from fsproxy.core.limits.operations import SESSION_LIFE_SECONDS
from fsproxy.core.model import Instant
from fsproxy.shell.ledger.aging import AgingTable
from fsproxy.shell.ledger.keys import KeyKind, key_of

_SLICE = 600.0


class PageClocks:
    """Offsets by org and page, kept for 24 hours, at most ``bound`` (about 200 bytes each).

    Full, the page that was fixed longest ago (to 10 minutes) goes first: its next upload fixes it anew.
    """

    def __init__(self, bound: int = 500_000) -> None:
        self._offsets: AgingTable[tuple[float, float]] = AgingTable(bound, SESSION_LIFE_SECONDS, _SLICE, _fixed_at)

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def evicted(self) -> int:
        """Offsets that were forgotten to make room, since the start."""
        return self._offsets.evicted

    def known(self, org: str, page: str) -> float | None:
        """The page's offset in Unix seconds; None before its first upload, or when the page has no id."""
        if not page:
            return None
        kept = self._offsets.get(key_of(KeyKind.PAGE, org, page))
        return kept[0] if kept is not None else None

    def settle(self, org: str, page: str, offset: float, now: Instant, deadline: float) -> float | Awaitable[float]:
        """The same for an upload whose calls need it within ``deadline`` seconds; shared clocks may have to ask."""
        del deadline  # Memory needs none.
        return self.fix(org, page, offset, now)

    def fix(self, org: str, page: str, offset: float, now: Instant) -> float:
        """Fix the page's offset, unless it is fixed already; the one that stands. Not kept for a page without id."""
        if not page:
            return offset
        self._offsets.sweep(now)
        key = key_of(KeyKind.PAGE, org, page)
        kept = self._offsets.get(key)
        if kept is not None:
            return kept[0]
        self._offsets.put(key, (offset, now))
        return offset

    def replace(self, org: str, page: str, offset: float, now: Instant) -> None:
        """Another process fixed it."""
        self._offsets.put(key_of(KeyKind.PAGE, org, page), (offset, now))


def _fixed_at(kept: tuple[float, float]) -> float:
    return kept[1]
