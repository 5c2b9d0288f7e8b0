"""What several workers tell of themselves, as one: each is asked on its private port, the answers are merged.

A worker that does not answer in time is left out, and ``workers`` of the answer says so. What a worker remembers of
the past goes with it when it is replaced.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

import msgspec

from fsproxy.admin import merged_views
from fsproxy.admin.api import Seen, UnansweredError
from fsproxy.admin.single import MOST_TOLD, STATE, TICK_PATH
from fsproxy.core.model import Instant

SHARED_SECONDS = 0.5
"""Streams that tick within this time are told of the same question to the workers."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Told(NamedTuple):
    """What a worker answered."""

    worker: int
    """Its number, from 1."""
    pid: int
    body: bytes | None
    """None: nothing, or not in time, or that it cannot."""


class Workers(Protocol):
    """Those who are asked."""

    @property
    def wanted(self) -> int:
        """How many are configured."""
        ...

    async def state(self) -> tuple[bool, dict[str, Any]]:
        """For ``/readyz``."""
        ...

    def now(self) -> Instant:
        """The time."""
        ...

    async def ask_all(self, path: str, after: Mapping[int, int] | None = None) -> list[Told]:
        """What each that listens answers to a GET, by number, within a bounded time.

        ``after``: each process is asked with ``?after=`` its number there, or 0.
        """
        ...

    async def ask_any(self, path: str, body: bytes | None = None) -> tuple[int, bytes] | None:
        """The first answer that comes: status and body. ``body``: JSON to POST. None: nobody answers."""
        ...


class Together:
    """``api.Teller`` of several workers."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._lock = asyncio.Lock()
        self._asked_at = float("-inf")
        self._event: dict[str, Any] = {}
        self._news: dict[int, deque[dict[str, Any]]] = {}
        """The newest decisions by process, newest first."""
        self._numbers: dict[int, int] = {}
        """Of each process' newest request that is known."""

    async def decisions(self, query: Mapping[str, str], limit: int) -> dict[str, Any]:
        """See ``AdminBackend``: by time; ``number`` is the sum of all."""
        asked = urlencode({**query, "limit": limit}, errors="surrogatepass")
        told, workers = await self._all(f"/api/decisions?{asked}")
        return merged_views.decisions(told, limit) | workers

    async def explain(self, question: bytes) -> dict[str, Any]:
        """See ``AdminBackend``: as any one of them would decide."""
        status, told = await self._any("/api/explain", question)
        if status != 200:
            raise ValueError(told.get("error", ""))
        return told

    async def rejections(self) -> dict[str, Any]:
        """See ``AdminBackend``."""
        told, workers = await self._all("/api/rejections")
        return merged_views.rejections(list(told.values())) | workers

    async def usage(self) -> dict[str, Any]:
        """See ``AdminBackend``. All workers share the counts; each knows its own newest names."""
        told, workers = await self._all("/api/usage")
        return merged_views.usage(list(told.values())) | workers

    async def config(self) -> dict[str, Any]:
        """See ``AdminBackend``: of any one; the rest as of the fleet."""
        (status, told), (_, state) = await asyncio.gather(self._any("/api/config"), self._workers.state())
        if status != 200:
            raise UnansweredError("no worker tells its configuration")
        generations = {number: each["generation"] for number, each in state["workers"].items() if "generation" in each}
        told |= {key: state.get(key) for key in ("mode", "generation", "warnings")}
        counted = self._count(len(generations))["workers"]
        return {**told, "reload": state.get("config"), "workers": {**counted, "generations": generations}}

    async def shadow(self) -> dict[str, Any]:
        """See ``AdminBackend``."""
        told, workers = await self._all("/api/shadow")
        return merged_views.shadow(list(told.values())) | workers

    async def traffic(self, minutes: int) -> dict[str, Any]:
        """See ``AdminBackend``."""
        told, workers = await self._all(f"/api/traffic?minutes={minutes}")
        return merged_views.traffic(list(told.values()), minutes) | workers

    async def tick(self, seen: Seen | None) -> tuple[dict[str, Any], Seen]:
        """See ``AdminBackend``. It never raises: that nobody answers is told as well."""
        async with self._lock:
            time = asyncio.get_running_loop().time
            if time() - self._asked_at >= SHARED_SECONDS:
                await self._ask_for_news()
                self._asked_at = time()
            numbers = self._numbers
            before = numbers if seen is None else seen
            new = {
                pid: [each for each in news if each["number"] > before.get(pid, 0)] for pid, news in self._news.items()
            }
            return {**self._event, "decisions": merged_views.newest(new.values(), MOST_TOLD)}, numbers

    async def _ask_for_news(self) -> None:
        (_, state), said = await asyncio.gather(
            self._workers.state(), self._workers.ask_all(TICK_PATH, after=self._numbers)
        )
        told = [(each, _read(each.body)) for each in said]
        answers = [answer for _, answer in told if answer is not None]
        self._event = {key: state.get(key) for key in STATE} | self._count(len(answers))
        self._event |= {"time": self._workers.now(), "minutes": merged_views.minutes(answers)}
        news: dict[int, deque[dict[str, Any]]] = {}
        numbers: dict[int, int] = {}
        for each, answer in told:
            known = self._news.get(each.pid, ())
            if answer is None:
                news[each.pid], numbers[each.pid] = deque(known), self._numbers.get(each.pid, 0)
                continue
            fresh = [{**decision, "worker": each.worker} for decision in answer["decisions"]]
            news[each.pid] = deque([*fresh, *known][:MOST_TOLD])
            numbers[each.pid] = answer["number"]
        self._news, self._numbers = news, numbers

    async def _all(self, path: str) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
        """What each said, by its number, and how many that are. Raises Unanswered."""
        told = {each.worker: read for each in await self._workers.ask_all(path) if (read := _read(each.body))}
        if not told:
            raise UnansweredError("no worker answers")
        return told, self._count(len(told))

    async def _any(self, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        answer = await self._workers.ask_any(path, body)
        read = _read(answer[1]) if answer is not None else None
        if answer is None or read is None:
            raise UnansweredError("no worker answers")
        return answer[0], read

    def _count(self, answered: int) -> dict[str, Any]:
        return {"workers": {"configured": self._workers.wanted, "answered": answered}}


def _read(body: bytes | None) -> dict[str, Any] | None:
    try:
        return _decode(body) if body is not None else None
    except msgspec.DecodeError:
        return None
