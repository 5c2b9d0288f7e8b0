"""Whether the store still has what it had: one that has lost it counts limits from nothing (rules.md 5).

The store keeps since when it has keys of ours, and the last moment that a process has noted there. Each process asks
for both once a second, which also notes the moment. Another beginning than before means that the store was emptied: by
FLUSHALL, by a restart without its data, by an empty replica that took over. An earlier moment than before means that
it has gone back to an older state: from a snapshot, or to a replica that was far behind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, Metric

from fsproxy.clock import now as wall_clock
from fsproxy.core.limits.operations import LedgerDownError
from fsproxy.core.model import Instant
from fsproxy.state.redis.connections.breaker import Breaker

EVERY_SECONDS = 1.0
OLDER_SECONDS = 5.0
"""What a replica that takes over may lack without being called older."""
MOST_LOSSES = 10

Ask = Callable[[str, list[Any], float | None], asyncio.Future[list[Any]]]
"""``RedisLink.ask``."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Once that a store had lost what it had."""

    place: str
    """Host and port."""
    at: Instant
    seconds: float | None
    """By how much what it has is older; None: it was empty."""


class Epochs:
    """Asks each server of the store in the background. Started and closed once.

    ``servers`` returns, of each: what keys of no org begin with that lie there, its breaker, and how to ask it.
    ``on_loss`` is called when one has lost what it had.
    """

    def __init__(self, servers: Callable[[], Iterable[tuple[str, Breaker, Ask]]], on_loss: Callable[[], None]) -> None:
        self._servers = servers
        self._on_loss = on_loss
        self._known: dict[str, tuple[str, float, str]] = {}
        """By what the keys begin with: the beginning, the moment that was noted last, when it went back last."""
        self._task: asyncio.Task[None] | None = None
        self.losses: deque[Loss] = deque(maxlen=MOST_LOSSES)
        self.emptied = 0
        """How often a server was empty, since the start."""
        self.aged = 0
        """How often a server had gone back to an older state."""

    @property
    def kept_since(self) -> float | None:
        """Since when the store has what it has, by its own clock; None: not known. Of several servers, the latest."""
        return max((float(made) for made, *_ in self._known.values()), default=None)

    def start(self) -> None:
        """Ask now, and from now on every second."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def poll(self) -> None:
        """Ask once. Servers that are down are left alone. Never raises, unless it is cancelled."""
        asked = dict[str, tuple[str, asyncio.Future[list[Any]]]]()
        for base, breaker, ask in self._servers():
            if not breaker.is_open:
                with suppress(LedgerDownError):
                    latest = self._known[base][1] if base in self._known else 0.0
                    asked[base] = breaker.place, ask(base, [["epoch", latest, OLDER_SECONDS]], None)
        # What is known of servers that are down stays; that of nodes that are gone does little harm.
        for base, (place, future) in asked.items():
            with suppress(LedgerDownError):
                self._learn(base, place, *(await future)[0])

    def collect(self) -> Iterator[Metric]:
        """Yield the metric."""
        text = "Times that the store had lost what it had, by what it had instead."
        family = CounterMetricFamily("fsproxy_store_losses", text, labels=("kind",))
        family.add_metric(("empty",), self.emptied)
        family.add_metric(("older",), self.aged)
        yield family

    def _learn(self, base: str, place: str, made: str, latest: float, back: str, seconds: float) -> None:
        known, self._known[base] = self._known.get(base), (made, latest, back)
        if known is None:
            return
        if known[0] != made:
            self.emptied += 1
            self._lost(place, None)
        elif known[2] != back:
            self.aged += 1
            self._lost(place, seconds)

    def _lost(self, place: str, seconds: float | None) -> None:
        self.losses.append(Loss(place, wall_clock(), seconds))
        self._on_loss()

    async def _run(self) -> None:
        while True:
            await self.poll()
            await asyncio.sleep(EVERY_SECONDS)
