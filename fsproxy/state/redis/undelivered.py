"""What became of reservations, kept while the store cannot be reached, and sent once it answers again.

A unit whose page was answered while the store was down would lapse after a minute, and another session get it. To
confirm or to release twice does no harm, so whatever may not have arrived is sent again, before all else of the org.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from fsproxy.clock import now as wall_clock
from fsproxy.core.limits.operations import Confirm, Operation, Release
from fsproxy.core.model import Instant
from fsproxy.state.memory.reservations import LAPSED_SECONDS

MOST = 20_000
"""Operations that are kept. For one more, its unit lapses. One takes about 500 bytes."""
EVERY_SECONDS = 0.5


class Undelivered:
    """Keeps confirmations and releases. ``send`` sends one; ``is_down`` returns whether its org's server is down."""

    def __init__(self, send: Callable[[Operation, Instant], None], is_down: Callable[[str], bool]) -> None:
        self._send = send
        self._is_down = is_down
        self._first: dict[str, list[tuple[Operation, Instant]]] = {}
        self._by_org: dict[str, list[tuple[Operation, Instant]]] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def keep(self, operation: Operation, now: Instant) -> None:
        """Keep the operation if it tells of a reservation."""
        tells = isinstance(operation, Release) or (isinstance(operation, Confirm) and operation.held)
        if tells and self._count < MOST and not self._is_closed:
            self._by_org.setdefault(operation.org, []).append((operation, now))
            self._count += 1
            self._wait()

    def keep_first(self, operations: Iterable[Operation], now: Instant) -> None:
        """Keep operations of any kind before all others of their orgs, in place of what was to go first. Sent once."""
        if self._is_closed:
            return
        first: dict[str, list[tuple[Operation, Instant]]] = {}
        for operation in operations:
            first.setdefault(operation.org, []).append((operation, now))
        self._first |= first
        self._wait()

    def deliver(self, org: str) -> None:
        """Send what is kept of an org. The store has forgotten what is too old."""
        kept = self._by_org.pop(org, [])
        self._count -= len(kept)
        for operation, since in self._first.pop(org, []) + kept:
            if wall_clock() - since < LAPSED_SECONDS:
                self._send(operation, since)

    def close(self) -> None:
        """Send nothing more."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    def __contains__(self, org: object) -> bool:
        """Return whether something is kept of an org."""
        return org in self._first or org in self._by_org

    def _wait(self) -> None:
        if self._timer is None and (self._first or self._by_org):
            self._timer = asyncio.get_running_loop().call_later(EVERY_SECONDS, self._try)

    def _try(self) -> None:
        self._timer = None
        for org in [org for org in {**self._first, **self._by_org} if not self._is_down(org)]:
            self.deliver(org)
        self._wait()
