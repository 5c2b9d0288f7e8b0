"""What waits for Redis: collected over one tick of the loop, answered in order, given up at the time limit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from fsproxy.clock import now as wall_clock
from fsproxy.core.limits.operations import LedgerDownError

MOST_WAITING = 20_000
"""Requests that wait for the store at once; one more is told that it is down."""
MOST_IN_A_CALL = 128
"""Requests in one script call, so that no call holds Redis up for long (about 20 µs each)."""
STALL_SECONDS = 0.005
"""After the time limit, for an answer that is there already and that a busy loop has not read yet."""


class Asked(msgspec.Struct, gc=False):
    """One request's operations on their way."""

    base: str
    request: list[Any]
    answers: asyncio.Future[list[Any]]
    since: float
    """Seconds on the loop's clock."""

    def refuse(self) -> None:
        """The store is down."""
        if not self.answers.done():
            self.answers.set_exception(LedgerDownError())


class Call(msgspec.Struct, gc=False):
    """One script call: what one org's requests of one tick ask."""

    base: str
    asked: list[Asked]
    sent: float
    """Wall clock."""
    again: bool = False
    """Sent with the script's text, as the server had forgotten it."""


class Batch:
    """Pending and sent requests. ``on_late`` is called when the oldest has waited for ``timeout`` seconds."""

    def __init__(self, timeout: float, on_late: Callable[[], None]) -> None:
        self._timeout = timeout
        self._on_late = on_late
        self._pending: deque[Asked] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._late: Asked | None = None
        self._waiting = 0
        self.sent: deque[Call] = deque()
        """In the order of their answers."""
        self.wake = asyncio.Event()
        """Set when something is pending."""

    @property
    def is_full(self) -> bool:
        """No more can wait."""
        return self._waiting >= MOST_WAITING

    def add(self, base: str, operations: list[Any], at: float | None) -> asyncio.Future[list[Any]]:
        """One request more."""
        loop = asyncio.get_running_loop()
        asked = Asked(base, [at or False, operations], loop.create_future(), loop.time())
        self._pending.append(asked)
        self._waiting += 1
        self.wake.set()
        if self._watch is None:
            self._watch = loop.call_later(self._timeout, self._check)
        return asked.answers

    def take(self) -> list[Call]:
        """What is pending, as script calls."""
        pending, sent = self._pending, wall_clock()
        calls: list[Call] = []
        latest: dict[str, Call] = {}
        while pending:
            asked = pending.popleft()
            call = latest.get(asked.base)
            if call is None or len(call.asked) >= MOST_IN_A_CALL:
                call = latest[asked.base] = Call(asked.base, [], sent)
                calls.append(call)
            call.asked.append(asked)
        return calls

    def done(self, call: Call) -> None:
        """All of its requests have been answered."""
        self._waiting -= len(call.asked)

    def refuse_sent(self) -> None:
        """Whether these were carried out nobody knows: reservations lapse by themselves."""
        while self.sent:
            call = self.sent.popleft()
            self._waiting -= len(call.asked)
            for asked in call.asked:
                asked.refuse()

    def refuse_pending(self) -> None:
        """Nobody is there to send these to."""
        while self._pending:
            self._waiting -= 1
            self._pending.popleft().refuse()

    def close(self) -> None:
        """Refuse everything."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self.refuse_sent()
        self.refuse_pending()

    def _check(self) -> None:
        """Runs while something waits; one timer for all."""
        self._watch = None
        oldest = self.sent[0].asked[0] if self.sent else self._pending[0] if self._pending else None
        if oldest is None:
            self._late = None
            return
        loop = asyncio.get_running_loop()
        left = oldest.since + self._timeout - loop.time()
        if left <= 0 and oldest is self._late:
            self._late = None
            self._on_late()
            return
        self._late = oldest if left <= 0 else None
        self._watch = loop.call_later(max(left, STALL_SECONDS), self._check)
