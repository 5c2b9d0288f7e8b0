"""The lists that change at run time go from one worker to the next in parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from fsproxy.admin.server import ROWS_IN_PART, create_private_admin
from fsproxy.admin.single import SingleBackend
from fsproxy.admin.workers.merged_lists import MergedLists
from fsproxy.admin.workers.worker_pool import WorkerClient, WorkerPool, WorkerState
from fsproxy.core.model import FilterName
from fsproxy.core.run_time_lists import ListRow
from fsproxy.fleet.listening import start_private_admin

COUNT = 2 * ROWS_IN_PART + 1
ROWS = [ListRow(FilterName.IP, f"2001:db8:ffff:ffff:ffff:ffff:ffff:{number:x}", 2e9, 1e9) for number in range(COUNT)]


class Lists:
    """Those of a worker."""

    def __init__(self, rows: list[ListRow]) -> None:
        self._rows = rows
        self.taken: list[list[ListRow]] = []

    def rows(self) -> Iterator[ListRow]:
        yield from self._rows

    async def take(self, rows: list[ListRow]) -> None:
        self.taken.append(rows)


@asynccontextmanager
async def worker(number: int, lists: Lists, folder: Path) -> AsyncIterator[WorkerClient]:
    path = str(folder / f"{number}.sock")
    runner = await start_private_admin(create_private_admin(cast("SingleBackend", SimpleNamespace(lists=lists))), path)
    client = WorkerClient(number, number, path)
    client.state = WorkerState.LISTENING
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


async def test_a_replacement_gets_all_rows_in_parts_that_hold_no_event_loop_for_long(tmp_path: Path) -> None:
    known, empty = Lists(ROWS), Lists([])
    async with AsyncExitStack() as stack:
        workers = {
            number: await stack.enter_async_context(worker(number, lists, tmp_path))
            for number, lists in ((1, empty), (2, known))
        }
        await MergedLists(WorkerPool(2, workers)).hand_over(workers[1])
        assert [len(part) for part in empty.taken] == [ROWS_IN_PART, ROWS_IN_PART, 1]
        assert [row for part in empty.taken for row in part] == ROWS
        # Nobody else knows anything; and one that has ended does not matter.
        await workers[2].close()
        await MergedLists(WorkerPool(2, workers)).hand_over(workers[1])
        assert len(empty.taken) == 3
