"""The events of several workers as one stream, which all readers share."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec

from fsproxy.admin.answers import MOST_NEW, Event
from fsproxy.admin.backend import Seen
from fsproxy.admin.single import SHARED_SECONDS, STATE
from fsproxy.admin.state_answers import State, WorkersAnswered
from fsproxy.admin.status import glance
from fsproxy.admin.status.vitals import Vitals, merged
from fsproxy.admin.workers import merged_views
from fsproxy.admin.workers.worker_pool import WorkerPool
from fsproxy.clock import now
from fsproxy.config.schema import Config
from fsproxy.telemetry.conditions import Conditions

TICK_PATH = "/api/tick"
"""What each worker is asked for. Only its private port has this path."""
StateOfAll = Callable[[], Awaitable[tuple[bool, State]]]
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class MergedEvents:
    """Asks the workers for what is new, and keeps the newest decisions of each for streams that come later."""

    def __init__(self, pool: WorkerPool, conditions: Conditions) -> None:
        self._pool = pool
        self._conditions = conditions
        self._lock = asyncio.Lock()
        self._asked_at = float("-inf")
        self._event: dict[str, Any] = {}
        self._news: dict[int, deque[dict[str, Any]]] = {}
        """The newest decisions by process, newest first."""
        self._numbers: dict[int, int] = {}
        """The number of each process' newest request that is known."""
        self._warned: dict[str, float] = {}
        """Since when each present warning is there."""

    async def next(self, state: StateOfAll, config: Config, seen: Seen | None) -> tuple[Event, Seen]:
        """Return the next event of a stream that knows ``seen``, and what it knows with it. ``state`` is of all."""
        async with self._lock:
            time = asyncio.get_running_loop().time
            if time() - self._asked_at >= SHARED_SECONDS:
                await self._ask(state, config)
                self._asked_at = time()
            numbers = self._numbers
            before = numbers if seen is None else seen
            new = ([each for each in news if each["number"] > before.get(pid, 0)] for pid, news in self._news.items())
            return cast("Event", {**self._event, "decisions": merged_views.newest(new, MOST_NEW)}), numbers

    async def _ask(self, state_of_all: StateOfAll, config: Config) -> None:
        known_numbers = self._numbers

        def path(_: int, pid: int) -> str:
            return f"{TICK_PATH}?after={known_numbers.get(pid, 0)}"

        (_, state), answers = await asyncio.gather(state_of_all(), self._pool.ask_all(path))
        documents = [(each, read(each.body)) for each in answers]
        answered = [document for _, document in documents if document is not None]
        time = now()
        workers: WorkersAnswered = {"configured": self._pool.configured, "answered": len(answered)}
        vitals = [msgspec.convert(document["vitals"], Vitals) for document in answered]
        minutes = merged_views.minutes([{"minutes": each.minutes} for each in vitals])
        whole, alerts = merged(vitals, minutes, time), self._conditions.alerts()
        self._warned = {text: self._warned.get(text, time) for text in state["warnings"]}
        self._event = {
            **{key: state.get(key) for key in STATE},
            "time": time,
            "minutes": merged_views.minutes(answered),
            "workers": workers,
            "status": glance.status(whole, alerts, state, config, workers, self._warned),
        }
        news: dict[int, deque[dict[str, Any]]] = {}
        numbers: dict[int, int] = {}
        for each, document in documents:
            known = self._news.get(each.pid, ())
            if document is None:
                news[each.pid], numbers[each.pid] = deque(known), self._numbers.get(each.pid, 0)
                continue
            fresh = [{**decision, "worker": each.worker} for decision in document["decisions"]]
            news[each.pid] = deque([*fresh, *known][:MOST_NEW])
            numbers[each.pid] = document["number"]
        self._news, self._numbers = news, numbers


def read(body: bytes | None) -> dict[str, Any] | None:
    """Return a worker's answer; None when there is none, or none that can be read."""
    try:
        return _decode(body) if body is not None else None
    except msgspec.DecodeError:
        return None


async def is_held_back(pool: WorkerPool) -> bool:
    """Return whether any worker holds the newest configuration back (``reload.max_change``)."""
    answers = [read(each.body) for each in await pool.ask_all("/api/config")]
    return any(answer is not None and answer["held_back"] is not None for answer in answers)
