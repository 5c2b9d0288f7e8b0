"""Writing the memory form behind to a file, so that a restart forgets no quota and no name (rules.md 5).

Every ``state.persist.every`` seconds, what changed is drained in slices on the event loop and written by a thread. A
crash loses one interval at most. A file that cannot be used costs a count for each attempt, but never a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, unique
from pathlib import Path
from typing import TypeVar

import structlog

from fsproxy.clock import monotonic
from fsproxy.clock import now as wall_clock
from fsproxy.config.schema import PersistConfig
from fsproxy.core.model import Instant
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.memory.rows import LedgerRows
from fsproxy.state.sqlite.file import LedgerFile, read_held, read_held_lists
from fsproxy.state.sqlite.interval import Interval
from fsproxy.state.sqlite.private_files import HeldError, set_aside
from fsproxy.state.sqlite.schema import DamagedFileError, is_damage, reason_of, strange_values

T = TypeVar("T")

SLICE = 2_000
"""Rows that are drained at once: about 1 ms of the event loop's time."""
LAST_SECONDS = 10.0
"""How long the last write may take, at the program's end."""
_TROUBLE = (OSError, sqlite3.Error, DamagedFileError)
_NO_ROWS = LedgerRows()
log = structlog.get_logger("fsproxy")


@unique
class Keeping(Enum):
    """Whether the state is written, in the words of ``/readyz``."""

    STARTING = "starting"
    KEPT = "kept"
    FAILING = "failing"
    HELD = "held by another process"


class Persister:
    """Writes one ledger, which must have a journal, to one file."""

    def __init__(
        self,
        config: PersistConfig,
        ledger: MemoryLedger,
        failures: Counter[tuple[str, ...]],
        names_kept: Callable[[], float],
        clock: Callable[[], Instant] = wall_clock,
    ) -> None:
        """``names_kept`` returns the longest retention of names in seconds, as it is now."""
        self._path = Path(config.path)
        self.path = config.path
        self._ledger = ledger
        self._failures = failures
        self._names_kept = names_kept
        self._clock = clock
        self._file: LedgerFile | None = None
        self._owned = False
        self._counted_before: dict[tuple[str, str], int] = {}
        """What the counts were when they were read, while another process has the file open."""
        self.keeping, self.loading = Keeping.STARTING, "opening the state file"
        """Whether it is written; and what ``start`` does, in words."""
        self.reason = ""
        """Why the state is not written; "" where it is."""
        self.since = clock()
        """When it began to be kept so."""
        self.incident: tuple[Instant, str] | None = None
        """When something last happened to the file, and what."""
        self.is_private = True
        """No other user may read the file."""
        self._written_at: Instant | None = None
        self._unwritten = _NO_ROWS
        """What was drained and could not be written yet. What changed since is drained again, and written after it."""
        self._interval = Interval(config.every)
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="persist")

    async def start(self) -> None:
        """Load what was kept, then write in the background. The ledger must not be used meanwhile. Never raises."""
        started = monotonic()
        try:
            rows = await self._in_thread(self._load)
            if rows:
                log.info("state loaded", rows=rows, seconds=round(monotonic() - started, 3), path=str(self._path))
        except _TROUBLE as error:
            self._failed(error)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Write everything that is not written yet. Never raises."""
        self._interval.stop()
        if self._task is not None:
            await self._task
        self._thread.shutdown(wait=False)

    def state(self) -> dict[str, object]:
        """Return what ``/readyz`` shows."""
        found: dict[str, object] = {"path": str(self._path), "state": self.keeping.value}
        if self.reason:
            found["reason"] = self.reason
        if self._written_at is not None:
            found["written"] = self._written_at
        return found

    async def flush(self) -> None:
        """Wait until everything of before was written, or could not be: see ``keeping``. Never raises."""
        if self._task is not None:
            await self._interval.next_write()

    async def write(self) -> None:
        """Do one interval's work: write what changed, and delete a few rows that have ended. Never raises."""
        try:
            if self._file is not None and not await self._in_thread(self._file.is_there):
                self.incident = self._clock(), "was taken away: a new one is made"
                await self._leave()
            if self._file is None:
                await self._take_over()
            if self._file is not None:
                await self._write_behind(self._file)
                await self._in_thread(self._file.prune, self._clock(), self._names_kept())
                self._change(Keeping.KEPT)
        except HeldError as error:
            self._change(Keeping.HELD, f"process {error}")
            await self._follow_lists()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end what writes the state
            self._failed(error)
            if is_damage(error):
                await self._set_aside()

    # -- within

    async def _run(self) -> None:
        while await self._interval.passed():
            await self.write()
            self._interval.written()
        # A disk that does not answer must not keep the program from ending.
        for last in (self.write, self._leave):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await last()
        self._interval.written()

    async def _write_behind(self, file: LedgerFile) -> None:
        while rows := self._unwritten or self._ledger.drain(SLICE):
            self._unwritten = rows
            await self._in_thread(file.write, rows)
            self._unwritten = _NO_ROWS
            self._written_at = self._clock()

    def _load(self) -> int:
        """Load the ledger, in the thread, before it is in use. Raises what LedgerFile.open does."""
        try:
            self._file = self._opened()
        except HeldError as error:
            # Most likely it ends as soon as this one is up. Use what it knows, and write once it has gone.
            self._change(Keeping.HELD, f"process {error}")
            with contextlib.suppress(*_TROUBLE):
                return sum(map(self._restore, read_held(self._path, self._clock())))
            return 0
        try:
            rows, size = 0, self._file.size()
            for part in self._file.read(self._clock()):
                self.loading = f"loading {size:,} ids and names from the state file: {rows:,} done"
                rows += self._restore(part)
        except _TROUBLE as error:
            self._file.close()
            self._file = None
            if is_damage(error):
                self.incident = self._clock(), set_aside(self._path, "it is damaged")
            raise
        self._owned, self._counted_before = True, {}
        return rows

    def _opened(self) -> LedgerFile:
        """Open the file, in the thread. Raises what LedgerFile.open does."""
        file = LedgerFile.open(self._path)
        self.is_private = file.is_private
        if file.incident:
            self.incident = self._clock(), file.incident
        return file

    def _restore(self, rows: LedgerRows) -> int:
        self._counted_before |= {(org, cycle): used for org, cycle, used, _ in rows.counts}
        with strange_values():
            self._ledger.restore(rows, self._clock())
        return len(rows)

    async def _take_over(self) -> None:
        """Open a file that could not be had at the start, or was lost. Take in what it holds if it was never ours."""
        file = await self._in_thread(self._opened)
        try:
            if not self._owned:
                await self._merge(file)
            for _ in self._ledger.note_all():
                await asyncio.sleep(0)
        except BaseException:
            await self._in_thread(file.close)
            raise
        self._file, self._owned = file, True

    async def _merge(self, file: LedgerFile) -> None:
        parts = await self._in_thread(file.read, self._clock())
        while rows := await self._in_thread(next, parts, _NO_ROWS):
            with strange_values():
                self._ledger.merge(rows, self._counted_before, self._clock())

    async def _follow_lists(self) -> None:
        """Take in what became of the lists in the process that has the file: it may be the one that is replaced."""
        with contextlib.suppress(*_TROUBLE):
            rows = await self._in_thread(read_held_lists, self._path, self._ledger.lists.newest)
            with strange_values():
                self._ledger.lists.merge(rows, self._clock())

    async def _leave(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            await self._in_thread(file.close)

    async def _set_aside(self) -> None:
        await self._leave()
        try:
            self.incident = self._clock(), await self._in_thread(set_aside, self._path, "it is damaged")
        except OSError as error:
            self._failed(error)

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _failed(self, error: Exception) -> None:
        self._failures[()] += 1
        self._change(Keeping.FAILING, reason_of(error))

    def _change(self, keeping: Keeping, reason: str = "") -> None:
        if keeping is not self.keeping:
            self.since = self._clock()
        self.keeping, self.reason = keeping, reason
