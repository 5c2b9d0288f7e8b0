"""Whether the store is asked at all: one that did not answer in time is left alone until a probe succeeds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
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


@unique
class Part(StrEnum):
    """What of the store a breaker is for."""

    ALL = "all"
    NODE = "node"
    """A node of a Cluster."""
    MOVING = "moving"
    """Slots of a Cluster that are handed over key by key."""
    UNSERVED = "unserved"
    """Slots of a Cluster that no node has."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which the store is not asked."""

    part: Part
    place: str
    slots: int
    """Of a Cluster: how many of its slots are affected."""
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

    def __init__(self, place: str, clock: Callable[[], Instant] = wall_clock, part: Part = Part.ALL) -> None:
        self.part = part
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
        self.refused_at = Instant(0.0)
        self.slots = 0
        """Of a part of a Cluster: how many slots it has."""
        self.on_failure: Callable[[], object] = lambda: None
        """Called when something failed."""

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
        self.on_failure()

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
        self.refused_word, self.refused_at = word, self._clock()

    def take_over(self, other: Breaker) -> None:
        """Count what another one has counted, whose server has left. Its outage is over."""
        other.recovered()
        self._over.extend(other.outages())
        self.round_trips += other.round_trips
        self.failures += other.failures
        self.unavailable += other.unavailable
        self.refusals += other.refusals

    def outages(self) -> list[Outage]:
        """Return those that have ended since the last call, and the present one."""
        found = list(self._over)
        self._over.clear()
        return [*found, self._outage()] if self.is_open else found

    def _outage(self) -> Outage:
        return Outage(
            self.part, self.place, self.slots, self.since, self._reason, self.unavailable - self._unavailable_before
        )

    def _change(self, state: StoreState) -> None:
        self.state, self.since = state, self._clock()


def overall(breakers: Iterable[Breaker]) -> StoreState:
    """Return the state of a store that consists of several: up if all are, and down if any is.

    Slots that are being moved take neither the store nor a node down.
    """
    states = {each.state for each in breakers if each.part is not Part.MOVING}
    return next((state for state in (StoreState.DOWN, StoreState.STARTING) if state in states), StoreState.UP)
