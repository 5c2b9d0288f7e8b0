"""Timeouts, cheaply: one coarse timer looks at everything that waits, instead of one timer for each.

A timer of the event loop costs a request more than most of its other work (architecture.md 4), and a timeout of 30 s
that fires 100 ms late does no harm.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

PERIOD = 0.1
"""Seconds between two walks: how late a timeout may fire."""
GROUPS = 11
"""What cannot be due soon is split into groups, and each walk looks at one of them. A prime, because the hashes of
objects are multiples of their size in memory, which would leave groups empty."""
PATIENCE = 2.0
"""Seconds. More than ``GROUPS`` walks take, so that each group is looked at in time."""


class Timed(Protocol):
    """Something that may take too long."""

    due: float
    """In the event loop's time; infinity while nothing runs."""

    @property
    def shortest(self) -> float:
        """Seconds: ``due`` is never set to less than this ahead. From ``PATIENCE`` on, it is rarely looked at."""
        ...

    def expire(self) -> None:
        """End what took too long. Called once ``due`` has passed; must change ``due`` or leave the sweeper."""
        ...


class Sweeper:
    """Looks at everything that was added every ``PERIOD`` seconds, as long as there is anything.

    10,000 idle connections would be 100,000 looks a second. So those with time left move to ``_far``, of which each
    walk looks at one group only. One of them may set ``due`` anew in the meantime, but at least ``PATIENCE`` ahead, so
    that its group's turn comes before that.
    """

    __slots__ = ("_far", "_handle", "_loop", "_near", "_turn", "time")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.time = loop.time
        self._near: set[Timed] = set()
        self._far: tuple[set[Timed], ...] = tuple(set() for _ in range(GROUPS))
        self._turn = 0
        self._handle: asyncio.TimerHandle | None = None

    def add(self, timed: Timed) -> None:
        """Watch ``timed``, which must not be watched yet, until it is discarded."""
        self._near.add(timed)
        if self._handle is None:
            self._handle = self._loop.call_later(PERIOD, self._sweep)

    def discard(self, timed: Timed) -> None:
        """Stop watching. Do nothing if it was not watched."""
        if timed in self._near:
            self._near.remove(timed)
        else:
            self._far[hash(timed) % GROUPS].discard(timed)

    def close(self) -> None:
        """Stop for good."""
        self._near.clear()
        for group in self._far:
            group.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _sweep(self) -> None:
        self._handle = None
        now = self._loop.time()
        self._sort(now + PATIENCE)
        for timed in [t for t in self._near if t.due <= now]:
            timed.expire()
        if self._near or any(self._far):
            self._handle = self._loop.call_later(PERIOD, self._sweep)

    def _sort(self, soon: float) -> None:
        """Move what is due soon from one group to ``_near``, and what is not the other way."""
        group = self._far[self._turn]
        self._turn = (self._turn + 1) % GROUPS
        back = [t for t in group if t.due <= soon]
        away = [t for t in self._near if t.due > soon and t.shortest >= PATIENCE]
        self._near.difference_update(away)
        for timed in away:
            self._far[hash(timed) % GROUPS].add(timed)
        group.difference_update(back)
        self._near.update(back)
