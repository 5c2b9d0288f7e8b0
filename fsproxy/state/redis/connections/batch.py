"""Requests that wait for Redis: collected over one tick of the loop, answered in order, given up at the time limit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from fsproxy.clock import now as wall_clock
from fsproxy.core.limits.operations import LedgerDownError

MOST_WAITING = 20_000
"""Requests that wait for the store at once. For one more, the store counts as down."""
MOST_IN_A_CALL = 128
"""Requests in one script call, so that no call blocks Redis for long (about 20 µs each)."""
STALL_SECONDS = 0.005
"""Added to the time limit, for an answer that has arrived and that a busy loop has not read yet."""


class Request(msgspec.Struct, gc=False):
    """One request's operations on their way."""

    base: str
    """What the org's keys begin with."""
    payload: list[Any]
    answers: asyncio.Future[list[Any]]
    since: float
    """Seconds on the loop's clock."""
    hops: int = 0
    """How often it was sent on, from one node of a Cluster to another one."""
    asking: bool = False
    """The node does not have its slot yet, and is to carry it out all the same."""

    def refuse(self) -> None:
        """Answer that the store is down."""
        if not self.answers.done():
            self.answers.set_exception(LedgerDownError())


class ScriptCall(msgspec.Struct, gc=False):
    """What one org's requests of one tick ask."""

    base: str
    requests: list[Request]
    sent: float
    """Wall clock."""
    with_text: bool = False
    """It is sent with the script's text, as the server had forgotten it."""
    asking: bool = False
    """ASKING is sent before it, and the answer to that was not read yet."""


class Batch:
    """Requests that are pending or sent. ``on_late`` is called when the oldest has waited for ``timeout`` seconds."""

    def __init__(self, timeout: float, on_late: Callable[[], None]) -> None:
        self._timeout = timeout
        self._on_late = on_late
        self._pending: deque[Request] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._late: Request | None = None
        self._waiting = 0
        self.sent: deque[ScriptCall] = deque()
        """In the order of their answers."""
        self.wake = asyncio.Event()
        """Set when something is pending."""

    @property
    def is_full(self) -> bool:
        """No more can wait."""
        return self._waiting >= MOST_WAITING

    def add(self, base: str, operations: list[Any], at: float | None) -> asyncio.Future[list[Any]]:
        """Add a request, and return its answers-to-be. ``at``: the time to use instead of the server's."""
        loop = asyncio.get_running_loop()
        request = Request(base, [at or False, operations], loop.create_future(), loop.time())
        self._put(request, loop)
        return request.answers

    def take_over(self, request: Request) -> None:
        """Add a request that another server did not carry out. Its time begins anew."""
        loop = asyncio.get_running_loop()
        request.since = loop.time()
        self._put(request, loop)

    def hand_over(self) -> ScriptCall:
        """Remove and return the oldest call that was sent, without an answer to its requests."""
        call = self.sent[0]
        self.finish_first()
        return call

    def take(self) -> list[ScriptCall]:
        """Remove what is pending, and return it as script calls."""
        pending, sent = self._pending, wall_clock()
        calls: list[ScriptCall] = []
        latest: dict[str, ScriptCall] = {}
        while pending:
            request = pending.popleft()
            call = latest.get(request.base)
            if call is None or len(call.requests) >= MOST_IN_A_CALL or call.asking != request.asking:
                call = latest[request.base] = ScriptCall(request.base, [], sent, asking=request.asking)
                calls.append(call)
            call.requests.append(request)
        return calls

    def _put(self, request: Request, loop: asyncio.AbstractEventLoop) -> None:
        self._pending.append(request)
        self._waiting += 1
        self.wake.set()
        if self._watch is None:
            self._watch = loop.call_later(self._timeout, self._check)

    def finish_first(self) -> None:
        """Remove the oldest call that was sent: all of its requests are answered."""
        self._waiting -= len(self.sent.popleft().requests)

    def refuse_sent(self) -> None:
        """Give up what was sent. Whether it was carried out is not known: reservations lapse by themselves."""
        while self.sent:
            for request in self.sent[0].requests:
                request.refuse()
            self.finish_first()

    def refuse_pending(self) -> None:
        """Give up what cannot be sent."""
        while self._pending:
            self._waiting -= 1
            self._pending.popleft().refuse()

    def close(self) -> None:
        """Give up everything."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self.refuse_sent()
        self.refuse_pending()

    def _check(self) -> None:
        """Look for a late request. One timer serves all: it runs while something waits, for the oldest.

        The first time that the oldest is late, its answer may have arrived while the loop was busy, so it gets a moment
        more.
        """
        self._watch = None
        oldest = self.sent[0].requests[0] if self.sent else self._pending[0] if self._pending else None
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
