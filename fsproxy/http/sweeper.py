"""Timeouts, cheaply: one coarse timer walks all that wait, instead of one timer for each of them.

A timer of the event loop costs a request more than most of its other work (architecture.md 4);
that a 30 s timeout fires 100 ms late hurts nobody.
"""

from __future__ import annotations

import asyncio

PERIOD = 0.1
"""Seconds between two walks: how late a timeout may fire."""
GROUPS = 11
"""Those that cannot be due soon are walked a group at a time. A prime: their hashes are multiples of their size."""
PATIENCE = 2.0
"""Seconds. More than ``GROUPS`` walks take, so that each group is looked at in time."""


class Timed:
    """Something that may take too long. ``due`` is in the event loop's time; infinity while nothing runs."""

    __slots__ = ()

    due: float

    @property
    def shortest(self) -> float:
        """Seconds: ``due`` is never set to less than this ahead. From ``PATIENCE`` on, it is rarely looked at."""
        return 0.0

    def expire(self) -> None:
        """Called once ``due`` has passed; must move or clear ``due``, or leave the sweeper."""
        raise NotImplementedError


class Sweeper:
    """Walks what was added, as long as there is anything.

    10,000 idle connections would be 100,000 looks a second: those with time left are in ``_far``, of which each walk
    looks at one group. What is set to be due meanwhile is still seen in time, as it is set ``PATIENCE`` ahead.
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
        """Watch ``timed``, which is not watched yet, until it is discarded."""
        self._near.add(timed)
        if self._handle is None:
            self._handle = self._loop.call_later(PERIOD, self._sweep)

    def discard(self, timed: Timed) -> None:
        """Stop watching; fine if it was not watched."""
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
        """Bring near what is due soon, of one group, and put away what is not."""
        group = self._far[self._turn]
        self._turn = (self._turn + 1) % GROUPS
        back = [t for t in group if t.due <= soon]
        away = [t for t in self._near if t.due > soon and t.shortest >= PATIENCE]
        self._near.difference_update(away)
        for timed in away:
            self._far[hash(timed) % GROUPS].add(timed)
        group.difference_update(back)
        self._near.update(back)
