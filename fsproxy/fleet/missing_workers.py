"""What is wrong with the workers themselves, as conditions: one is missing, is silent, or ends again and again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from fsproxy.admin.workers.worker_pool import WorkerPool
from fsproxy.core.model import Instant
from fsproxy.fleet.worker import HUNG_SECONDS, Worker
from fsproxy.telemetry.conditions import Condition, Level

PROBE_SECONDS = 2.0
"""Seconds between two questions to each worker whether it still answers."""
HOUR = 3600.0
_NAMES = {each.value: each.name for each in signal.Signals}
OFTEN = 3
"""Replacements within an hour from which on a worker counts as one that ends again and again."""


class _Loss(NamedTuple):
    since: Instant
    status: int | None
    """Of the process that ended last."""


class MissingWorkers:
    """Remembers which workers have ended unasked, and makes conditions of that."""

    def __init__(self, workers: Mapping[int, Worker], configured: int) -> None:
        """``workers``: the latest process of each number."""
        self._workers = workers
        self._configured = configured
        self._missing: dict[int, _Loss] = {}
        self._losses: deque[Instant] = deque(maxlen=1000)
        """When workers ended within the last hour."""

    def ended(self, number: int, status: int | None, at: Instant) -> None:
        """Take note that a worker has ended unasked. ``status``: see ``exit_words``."""
        before = self._missing.get(number)
        self._missing[number] = _Loss(before.since if before is not None else at, status)
        self._losses.append(at)

    def listens(self, number: int) -> None:
        """Take note that a worker listens."""
        self._missing.pop(number, None)

    async def probe(self, pool: WorkerPool, stop: asyncio.Event, share: Callable[[], None]) -> None:
        """Ask all workers until ``stop`` whether they still answer, and end one that hangs.

        ``share`` is called each time, to have others accept from the queues of those that do not.
        """
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS):
                    await stop.wait()
            if not stop.is_set():
                await pool.ask_all("/healthz")
                share()
                for worker in self._workers.values():
                    worker.end_if_hung()

    def conditions(self, now: Instant) -> Iterator[Condition]:
        """Yield what is wrong: a source."""
        while self._losses and not 0 <= now - self._losses[0] < HOUR:
            self._losses.popleft()
        answering = [worker for worker in self._workers.values() if worker.accepts and not worker.is_silent]
        for number, loss in sorted(self._missing.items()):
            yield self._missing_one(number, loss, alone=not answering)
        for number, worker in sorted(self._workers.items()):
            if worker.accepts and worker.is_silent:
                yield self._silent_one(number, Instant(now - worker.silent_seconds))
        if len(self._losses) >= OFTEN:
            yield Condition(
                id="workers:replaced",
                level=Level.WARN,
                since=self._losses[0],
                text="workers end again and again",
                more="What is in their hands is lost each time. The line about each that is missing says how it ended, "
                "and its own lines before that may say why.",
                count=len(self._losses),
                counted="ends within an hour",
            )

    def _missing_one(self, number: int, loss: _Loss, *, alone: bool) -> Condition:
        waiting = "No worker accepts connections: they wait." if alone else "The others accept its connections."
        return Condition(
            id=f"worker:{number}:missing",
            level=Level.BAD if alone else Level.WARN,
            since=loss.since,
            text=f"worker {number} of {self._configured} is missing: {exit_words(loss.status)}",
            more=f"It is replaced. {waiting}",
            fields={"worker": number} | ({"exit_status": loss.status} if loss.status is not None else {}),
        )

    def _silent_one(self, number: int, since: Instant) -> Condition:
        return Condition(
            id=f"worker:{number}:silent",
            level=Level.WARN,
            since=since,
            text=f"worker {number} of {self._configured} does not answer",
            more="What it has accepted waits; the others accept its connections from now on. It may go on. If it does "
            f"not within {HUNG_SECONDS:.0f} s, it is ended and replaced.",
            fields={"worker": number},
        )


def exit_words(status: int | None) -> str:
    """Return how a process has ended, in words. A negative status is a signal; None: it could not be started."""
    if status is None:
        return "it could not be started"
    if status == -signal.SIGKILL:
        return "killed by SIGKILL, as the system does for want of memory"
    if status < 0:
        return f"killed by {_NAMES.get(-status, f'signal {-status}')}"
    return "it was asked to stop" if status == 0 else f"it ended with the exit status {status}"
