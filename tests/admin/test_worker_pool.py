"""The client of one worker's private admin port."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsproxy.admin.workers.worker_pool import MOST_UNANSWERED, WorkerClient, WorkerSilentError, WorkerState


async def test_a_worker_that_still_starts_is_not_silent(tmp_path: Path) -> None:
    """It would be ended as one that hangs as soon as it listens, if its start took a minute."""
    worker = WorkerClient(1, 1, str(tmp_path / "socket"))
    for state, is_silent in ((WorkerState.STARTING, False), (WorkerState.LISTENING, True)):
        for _ in range(MOST_UNANSWERED):
            with pytest.raises(WorkerSilentError):
                await worker.ask("GET", "/healthz", 20.0)
        worker.state = WorkerState.LISTENING
        assert (worker.silent_seconds > 0) is is_silent, state
    await worker.close()
