"""What the last seconds and minutes were like: the counters, read once a second, so that no request pays for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from operator import add, sub

import msgspec

from fsproxy.clock import now as wall_clock
from fsproxy.core.model import OTHER, Instant
from fsproxy.telemetry.metrics import Metrics

BEAT_SECONDS = 1.0
RATE_SECONDS = 10
"""The rate of requests is of so many seconds."""
MINUTE = 60
SLOTS, SLOT_MINUTES = 30, 2
"""A spark line is of the last hour, without the present minute."""
HOUR = SLOTS * SLOT_MINUTES
Counts = list[int]
"""Durations up to each bound of ``durations.FINE``."""


class Latencies(msgspec.Struct):
    """Durations that were counted together: our own, and those of the upstream."""

    own: Counts = []
    upstream: Counts = []

    def with_(self, other: Latencies) -> Latencies:
        """Return the sum of both."""
        return Latencies(_sum(self.own, other.own), _sum(self.upstream, other.upstream))


class Pulse:
    """Reads the counters once a second. Used on the event loop; about 80 KB in all."""

    def __init__(self, metrics: Metrics, clock: Callable[[], Instant] = wall_clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self.started = clock()
        self._totals: deque[tuple[Instant, int]] = deque([(self.started, 0)], RATE_SECONDS + 1)
        """The time, and the requests until then."""
        self._seconds: deque[Latencies] = deque(maxlen=MINUTE)
        self._minutes: deque[tuple[int, Latencies]] = deque(maxlen=HOUR + 1)
        """By minute (Unix time by 60), the oldest first."""
        self._before = self._counted()
        self.watched: dict[str, Callable[[], str]] = {}
        """States whose changes are noted, by name."""
        self._since: dict[str, tuple[str, Instant]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Read now, and from now on every second."""
        self.beat()
        self._timer = asyncio.get_running_loop().call_later(BEAT_SECONDS, self.start)

    def close(self) -> None:
        """Read no more."""
        if self._timer is not None:
            self._timer.cancel()

    def beat(self) -> None:
        """Read the counters."""
        time = self._clock()
        self._metrics.count_durations()
        counted, before = self._counted(), self._before
        self._before = counted
        new = Latencies(list(map(sub, counted.own, before.own)), list(map(sub, counted.upstream, before.upstream)))
        self._seconds.append(new)
        minute = int(time) // MINUTE
        if self._minutes and self._minutes[-1][0] == minute:
            new = self._minutes.pop()[1].with_(new)
        self._minutes.append((minute, new))
        self._totals.append((time, self._requests()))
        for name in self.watched:
            self.state(name)

    def state(self, name: str) -> tuple[str, Instant]:
        """Return a state that is watched, and since when it has been so, to the second."""
        state, known = self.watched[name](), self._since.get(name)
        if known is None or known[0] != state:
            known = self._since[name] = (state, self._clock() if known is not None else self.started)
        return known

    def _counted(self) -> Latencies:
        return Latencies(list(self._metrics.fine_own.counts), list(self._metrics.fine_upstream.counts))

    def _requests(self) -> int:
        return sum(count for (route, *_), count in self._metrics.orgs.ended().items() if route is not OTHER)

    @property
    def rate(self) -> float:
        """Requests a second within the last ten, without those that carry no captured data."""
        (first, before), (last, after) = self._totals[0], self._totals[-1]
        return (after - before) / (last - first) if last > first else 0.0

    def last_minute(self) -> Latencies:
        """Return the durations of the last minute."""
        return total(self._seconds)

    def last_hour(self) -> list[Latencies]:
        """Return the durations of the last hour without the present minute, by ``SLOT_MINUTES``, oldest first."""
        first = int(self._clock()) // MINUTE - HOUR
        slots = [Latencies()] * SLOTS
        for minute, found in self._minutes:
            place = (minute - first) // SLOT_MINUTES
            if 0 <= place < SLOTS:
                slots[place] = slots[place].with_(found)
        return slots


def total(latencies: Iterable[Latencies]) -> Latencies:
    """Return the sum of all."""
    found = Latencies()
    for each in latencies:
        found = found.with_(each)
    return found


def _sum(one: Counts, other: Counts) -> Counts:
    return list(map(add, one, other)) if one and other else one or other
