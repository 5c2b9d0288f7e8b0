"""The lists of all workers: each takes a change at once, as they also would from Redis a moment later."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import cast

import msgspec

from fsproxy.admin.backend import UnansweredError
from fsproxy.admin.lists.answers import CHANGE_PATH, ListOutcome, ListReport
from fsproxy.admin.lists.backend import ListBackend
from fsproxy.admin.workers.merged_events import read
from fsproxy.admin.workers.worker_pool import ASK_SECONDS, WorkerClient, WorkerPool, WorkerSilentError
from fsproxy.core.model import FilterName
from fsproxy.core.run_time_lists import ListChange, ListFullError

CHANGE_SECONDS = 10.0
"""A worker that makes its policies anew for 100,000 rules takes seconds."""
OK = 200
_encode = msgspec.json.Encoder().encode


class MergedLists(ListBackend):
    """Of all workers."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    async def change(self, change: ListChange) -> ListOutcome:
        """See ``ListBackend``. The workers that do not answer take the change from Redis."""
        body = _encode(change)
        asked = await asyncio.gather(*(_change(each, body) for each in self._pool.listening()))
        answers = [each for each in asked if each is not None]
        if not answers:
            raise UnansweredError("no worker answers")
        # What one has added, another one may have found in Redis already.
        most = {key: max(each[key] for each in answers) for key in ("added", "removed", "count")}
        not_kept = next((each["not_kept"] for each in answers if each["not_kept"] is None), answers[0]["not_kept"])
        counted = {"configured": self._pool.configured, "answered": len(answers)}
        return cast("ListOutcome", {**answers[0], **most, "not_kept": not_kept, "workers": counted})

    async def show(self, name: FilterName) -> ListReport:
        """See ``ListBackend``. Any worker answers: all share the lists."""
        found = await self._pool.ask_any(f"/api/lists/{name}")
        document = read(found[1]) if found is not None else None
        if document is None:
            raise UnansweredError("no worker answers")
        return cast("ListReport", document)

    async def hand_over(self, worker: WorkerClient) -> None:
        """Give a worker that has just started what another one knows, as Redis may be down.

        It goes in parts, and unread: 200,000 entries in one piece would hold the event loops for 0.3 s each.
        """
        with suppress(WorkerSilentError):
            for other in self._pool.listening():
                if other is worker:
                    continue
                async with aclosing(other.lines(CHANGE_PATH, ASK_SECONDS)) as parts:
                    async for part in parts:
                        await worker.ask("PUT", CHANGE_PATH, CHANGE_SECONDS, part)
                return


async def _change(worker: WorkerClient, body: bytes) -> ListOutcome | None:
    """Return a worker's answer; None without one. Raise ListFullError."""
    try:
        status, answer = await worker.ask("POST", CHANGE_PATH, CHANGE_SECONDS, body)
    except WorkerSilentError:
        return None
    if status == 409:
        raise ListFullError
    return cast("ListOutcome", read(answer)) if status == OK else None
