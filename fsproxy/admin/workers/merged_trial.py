"""One trial of all workers: each judges its own requests, and what they find is added up."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec

from fsproxy.admin.backend import UnansweredError
from fsproxy.admin.trial.answers import TRIAL_PATH, Try, try_answer
from fsproxy.admin.trial.backend import RefusedTrialError, TrialBackend
from fsproxy.admin.workers.merged_events import read
from fsproxy.admin.workers.worker_pool import ASK_SECONDS, WorkerClient, WorkerPool, WorkerSilentError
from fsproxy.reload.trials import TrialState

COMPILE_SECONDS = 60.0
"""A configuration of 100,000 rules takes seconds."""
_read_state = msgspec.json.Decoder(TrialState).decode


class MergedTrial(TrialBackend):
    """Of all workers."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    async def start(self, asked: bytes) -> Try:
        """See ``TrialBackend``. If one worker refuses, none tries it."""
        workers = self._pool.listening()
        answers = await asyncio.gather(*(_ask(each, "POST", asked, COMPILE_SECONDS) for each in workers))
        found = {worker: each for worker, each in zip(workers, answers, strict=True) if each is not None}
        if not found:
            raise RefusedTrialError(503, {"error": "no worker answers"})
        refused = next((each for each in found.values() if each[0] != 200), None)
        if refused is not None:
            # One that is busy with another candidate goes on with it.
            await asyncio.gather(*(_ask(worker, "DELETE") for worker, each in found.items() if each[0] == 200))
            raise RefusedTrialError(*refused)
        return await self.show()

    async def show(self) -> Try:
        answers = await self._pool.ask_all(TRIAL_PATH)
        states = [_read_state(each.body) for each in answers if each.body is not None]
        if not states:
            raise UnansweredError("no worker answers")
        return {**try_answer(states), "workers": {"configured": self._pool.configured, "answered": len(states)}}

    async def end(self) -> Try:
        await asyncio.gather(*(_ask(each, "DELETE") for each in self._pool.listening()))
        return await self.show()


async def _ask(
    worker: WorkerClient, method: str, body: bytes | None = None, seconds: float = ASK_SECONDS
) -> tuple[int, dict[str, Any]] | None:
    """Return a worker's answer: status and document; None without one."""
    with contextlib.suppress(WorkerSilentError):
        status, answer = await worker.ask(method, "/api/try", seconds, body)
        return status, read(answer) or {}
    return None
