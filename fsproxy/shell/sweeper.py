"""Timeouts, cheaply: one coarse timer walks all that wait, instead of one timer for each of them.

A timer of the event loop costs a request more than most of its other work (performance.md, finding 2);
that a 30 s timeout fires 100 ms late hurts nobody.
"""

from __future__ import annotations

import asyncio

PERIOD = 0.1
"""Seconds between two walks: how late a timeout may fire."""


class Timed:
    """Something that may take too long. ``due`` is in the event loop's time; infinity while nothing runs."""

    __slots__ = ()

    due: float

    def expire(self) -> None:
        """Called once ``due`` has passed; must move or clear ``due``, or leave the sweeper."""
        raise NotImplementedError


class Sweeper:
    """Walks what was added, as long as there is anything."""

    __slots__ = ("_handle", "_loop", "_waiting", "time")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.time = loop.time
        self._waiting: set[Timed] = set()
        self._handle: asyncio.TimerHandle | None = None

    def add(self, timed: Timed) -> None:
        """Watch ``timed`` until it is discarded."""
        self._waiting.add(timed)
        if self._handle is None:
            self._handle = self._loop.call_later(PERIOD, self._sweep)

    def discard(self, timed: Timed) -> None:
        """Stop watching; fine if it was not watched."""
        self._waiting.discard(timed)

    def close(self) -> None:
        """Stop for good."""
        self._waiting.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _sweep(self) -> None:
        self._handle = None
        now = self._loop.time()
        for timed in [t for t in self._waiting if t.due <= now]:
            timed.expire()
        if self._waiting:
            self._handle = self._loop.call_later(PERIOD, self._sweep)
