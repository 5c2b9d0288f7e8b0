"""The workers of one program, as its admin port asks them: each has a private admin port on a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from enum import StrEnum, unique
from io import BytesIO
from typing import Any, NamedTuple

import aiohttp

from fsproxy.clock import monotonic

ASK_SECONDS = 2.0
SILENT_SECONDS = 10.0
"""A worker that has not answered for so long hangs, as far as others can see: busy ones take a second or two."""
MOST_UNANSWERED = 3
"""So many questions in a row go unanswered before a worker counts as silent: one alone may have met a pause of the
whole machine, or of the container, in which the clock went on."""
MOST_ANSWERED = 16 * 1024 * 1024
"""Bytes of one answer: more than 500 decisions or all metrics take. A longer answer counts as none."""


@unique
class WorkerState(StrEnum):
    """What a worker process is doing."""

    STARTING = "starting"
    LISTENING = "listening"
    ENDED = "ended"


class WorkerSilentError(Exception):
    """The worker did not answer in time, or not at all."""


class WorkerClient:
    """One worker process, and a client of its private admin port."""

    def __init__(self, number: int, pid: int, socket_path: str) -> None:
        """Name a worker. ``number`` counts from 1; a replacement keeps it, but has a ``pid`` of its own."""
        self.number = number
        self.pid = pid
        self.state = WorkerState.STARTING
        self._silent_since: float | None = None
        """When the first question of those was asked that have had no answer since; None: it has answered the last."""
        self._unanswered = 0
        """How many questions those are."""
        self._http = aiohttp.ClientSession(
            "http://worker", connector=aiohttp.UnixConnector(socket_path), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def ask(self, method: str, path: str, seconds: float, body: Any = None) -> tuple[int, bytes]:
        """Return the status and the body of an answer. Raise WorkerSilentError.

        ``body`` is sent as JSON; bytes are sent as they are.
        """
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if raw is not None else {}
        # aiohttp warns of large bytes, which it would write in one piece.
        data = BytesIO(raw) if raw is not None else None
        asked = monotonic()
        try:
            async with (
                asyncio.timeout(seconds),
                self._http.request(method, path, data=data, headers=headers) as response,
            ):
                answer = bytearray()
                async for chunk in response.content.iter_any():
                    answer += chunk
                    if len(answer) > MOST_ANSWERED:
                        raise WorkerSilentError(f"worker {self.number} answers with too much")
                self._silent_since, self._unanswered = None, 0
                return response.status, bytes(answer)
        except (TimeoutError, aiohttp.ClientError, OSError, RuntimeError):
            # RuntimeError: the worker has ended, and its session was closed meanwhile.
            # A start may take minutes. One that listens at last would at once count as one that hangs, and be ended.
            if self.state is not WorkerState.STARTING:
                self._silent_since = asked if self._silent_since is None else self._silent_since
                self._unanswered += 1
            raise WorkerSilentError(f"worker {self.number} does not answer") from None

    async def lines(self, path: str, seconds: float) -> AsyncGenerator[bytes, None]:
        """Yield the lines of an answer as they come, of at most 64 KB each. Raise WorkerSilentError.

        ``seconds``: the time for each line.
        """
        try:
            async with asyncio.timeout(seconds) as limit, self._http.get(path) as response:
                while line := await response.content.readline():
                    limit.reschedule(None)
                    yield line
                    limit.reschedule(asyncio.get_running_loop().time() + seconds)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, RuntimeError):
            raise WorkerSilentError(f"worker {self.number} does not answer") from None

    @property
    def silent_seconds(self) -> float:
        """For how many seconds it has not answered; 0: it has answered one of the last few questions."""
        if self._silent_since is None or self._unanswered < MOST_UNANSWERED:
            return 0.0
        return monotonic() - self._silent_since

    @property
    def is_silent(self) -> bool:
        """Whether it hangs, as far as can be seen."""
        return self.silent_seconds >= SILENT_SECONDS

    async def close(self) -> None:
        """Close the client once the process has ended."""
        self.state = WorkerState.ENDED
        await self._http.close()


class WorkerAnswer(NamedTuple):
    """What one worker answered."""

    worker: int
    """Its number."""
    pid: int
    body: bytes | None
    """None: no answer, none in time, or one with another status than 200."""


class WorkerPool:
    """All workers. The supervisor puts each new one into ``workers``."""

    def __init__(self, configured: int, workers: Mapping[int, WorkerClient]) -> None:
        """Hold the workers. ``configured``: how many there should be; ``workers``: the latest one of each number."""
        self.configured = configured
        self._workers = workers

    def running(self) -> list[WorkerClient]:
        """Return those that have not ended, by number."""
        return [worker for _, worker in sorted(self._workers.items()) if worker.state is not WorkerState.ENDED]

    def listening(self) -> list[WorkerClient]:
        """Return those that accept connections, by number."""
        return [worker for worker in self.running() if worker.state is WorkerState.LISTENING]

    async def ask_all(self, path: str | Callable[[int, int], str]) -> list[WorkerAnswer]:
        """GET a path of every worker that listens, within a bounded time.

        ``path``: the same for all, or what to ask each, by its number and its process id.
        """

        async def ask(worker: WorkerClient) -> WorkerAnswer:
            own = path if isinstance(path, str) else path(worker.number, worker.pid)
            try:
                status, body = await worker.ask("GET", own, ASK_SECONDS)
            except WorkerSilentError:
                return WorkerAnswer(worker.number, worker.pid, None)
            return WorkerAnswer(worker.number, worker.pid, body if status == 200 else None)

        return list(await asyncio.gather(*map(ask, self.listening())))

    async def ask_any(self, path: str, body: bytes | None = None) -> tuple[int, bytes] | None:
        """Return the first answer of any worker: status and body. None: no worker answers in time.

        ``body`` is JSON to POST; without one it is a GET. The workers are asked one after the other.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ASK_SECONDS):
                workers = self.listening()
                for worker in workers:
                    with contextlib.suppress(WorkerSilentError):
                        method = "GET" if body is None else "POST"
                        return await worker.ask(method, path, ASK_SECONDS / len(workers), body)
        return None
