"""Whether the store is asked at all: one that did not answer in time is left alone until a probe succeeds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum, unique

from fsproxy.clock import now as wall_clock
from fsproxy.core.model import Instant

PROBE_SECONDS = 1.0
"""Between two probes of a store that is down: the limits are back within 2 s of the store (rules.md 5)."""
MOST_OUTAGES = 10


@unique
class StoreState(StrEnum):
    """The store's state, in the words of ``/readyz``."""

    STARTING = "starting"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which the store is not asked."""

    since: Instant
    reason: str
    """The newest one: the first word of a server's error, or a clause of ours. Never a server's own text."""
    unavailable: int
    """Questions that were not asked meanwhile."""
    ended: Instant | None = None


class Breaker:
    """The state of the store, its outages, and counters.

    One round trip over the time limit opens it, not several: each would cost a request the whole limit. A connection
    that was lost is first opened anew, at once; it opens the breaker when that fails.
    """

    def __init__(self, place: str, clock: Callable[[], Instant] = wall_clock) -> None:
        self.place = place
        """Host and port, for people."""
        self._clock = clock
        self.state = StoreState.STARTING
        self.since = clock()
        """When the state began."""
        self.round_trips = 0
        """Commands written to the store, since the start. A script call or a cache's command is one."""
        self.failures = 0
        """Round trips that failed, probes included."""
        self.unavailable = 0
        """Requests that were refused, as the store was down."""
        self._reason = ""
        self._unavailable_before = 0
        self._over: deque[Outage] = deque(maxlen=MOST_OUTAGES)
        self.refusals = 0
        """Single operations of the script that the server refused, though it was up."""
        self.refused_word = ""
        """The first word of the newest of these errors."""

    @property
    def is_open(self) -> bool:
        """Return whether the store must not be asked."""
        return self.state is StoreState.DOWN

    def failed(self, reason: str) -> None:
        """Note that a round trip or a connection failed. ``reason`` is a kind of failure, never a server's own text."""
        self.failures += 1
        self._reason = reason
        if self.state is not StoreState.DOWN:
            self._unavailable_before = self.unavailable
            self._change(StoreState.DOWN)

    def recovered(self) -> None:
        """Note that a probe was answered."""
        if self.state is StoreState.DOWN:
            self._over.append(replace(self._outage(), ended=self._clock()))
        if self.state is not StoreState.UP:
            self._change(StoreState.UP)

    def refused(self, word: str) -> None:
        """Note that the server refused an operation, which does not mean that it is down."""
        self.failures += 1
        self.refusals += 1
        self.refused_word = word

    def outages(self) -> list[Outage]:
        """Return those that have ended since the last call, and the present one."""
        found = list(self._over)
        self._over.clear()
        return [*found, self._outage()] if self.is_open else found

    def _outage(self) -> Outage:
        return Outage(self.since, self._reason, self.unavailable - self._unavailable_before)

    def _change(self, state: StoreState) -> None:
        self.state, self.since = state, self._clock()
