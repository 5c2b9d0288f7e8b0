"""The SQLite file behind the memory form: opened, checked, read, written (rules.md 5). Blocking: for a thread.

Rows go in and out many at a time: a step of SQLite that does much without Python's lock disturbs the event
loop less than many that do little. Of visitors it holds digests alone.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any

import structlog

from fsproxy.clock import now as wall_clock
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import Instant
from fsproxy.state.memory.live_sessions import ended_before
from fsproxy.state.memory.rows import LedgerRows
from fsproxy.state.memory.sessions import ADMITTED_DAYS
from fsproxy.state.sqlite.schema import TABLES, DamagedFileError, has_table, prepare, unfit

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

AT_ONCE = 256
"""Rows of one statement."""
CHUNK = 20_000
"""Rows read at once."""
WALKED = 5_000
"""Keys of each table that one ``prune`` looks at."""
_DAY = 86_400
_MODE = 0o600
log = structlog.get_logger("fsproxy")


class HeldError(Exception):
    """Another process keeps the file."""


@dataclass(slots=True)
class LedgerFile:
    """An open file that is this process's alone until it is closed."""

    path: Path
    _connection: sqlite3.Connection
    _lock: IO[str]
    _inode: int
    _walked: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """How far ``prune`` has come in each table."""

    @classmethod
    def open(cls, path: Path) -> LedgerFile:
        """Open or make it, and its folder. One that is damaged, of another program or newer is set aside.

        Raises HeldError, OSError and sqlite3.Error: then nothing was changed.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _locked(path)
        try:
            _keep_private(path)
            if path.stat().st_size:
                fault = unfit(path)
                if fault is not None:
                    set_aside(path, fault)
                    _keep_private(path)
            connection = prepare(path)
            return cls(path, connection, lock, path.stat().st_ino)
        except BaseException:
            lock.close()
            raise

    def is_there(self) -> bool:
        """False when somebody removed or replaced the file: what is written goes nowhere then."""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def write(self, rows: LedgerRows) -> None:
        """Put rows in place of those with the same key, all or none. Raises sqlite3.Error."""
        parts: dict[str, Sequence[tuple[Any, ...]]] = {
            "sessions": rows.sessions,
            "admitted": rows.admitted,
            "counts": rows.counts,
            "names": rows.names,
            "uids": rows.uids,
        }
        with self._transaction():
            for table in TABLES:
                for start in range(0, len(parts[table.name]), AT_ONCE):
                    part = parts[table.name][start : start + AT_ONCE]
                    values = ",".join([table.marks] * len(part))
                    self._connection.execute(f"{table.replace} {values}", _bound(part))

    def read(self, now: Instant) -> Iterator[LedgerRows]:
        """All rows that have not ended, in parts: see ``MemoryLedger.restore``. Raises sqlite3.Error, DamagedFile."""
        return read_rows(self._connection, now)

    def prune(self, now: Instant, names_kept: float) -> None:
        """Delete what has ended of the next few thousand rows of each table. Raises sqlite3.Error.

        ``names_kept``: the longest retention of names, in seconds.
        """
        limits = {
            "sessions": ended_before(now),
            "admitted": int(now // _DAY) - ADMITTED_DAYS,
            "counts": now,
            "names": now - names_kept,
            "uids": ended_before(now),
        }
        for table in TABLES:
            after = self._walked.get(table.name, table.first)
            upto = self._connection.execute(table.walk, (*after, WALKED)).fetchone()
            if upto is None:
                self._connection.execute(table.prune_rest, (*after, limits[table.name]))
                self._walked.pop(table.name, None)
            else:
                self._connection.execute(table.prune, (*after, *upto, limits[table.name]))
                self._walked[table.name] = upto

    def close(self) -> None:
        """Close it; another process may have it then. Never raises."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._lock.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled back already.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise


def look(path: Path, now: Instant) -> Iterator[LedgerRows]:
    """Read a file that another process keeps. Raises sqlite3.Error, DamagedFile."""
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        yield from read_rows(connection, now)


def read_rows(connection: sqlite3.Connection, now: Instant) -> Iterator[LedgerRows]:
    """See ``LedgerFile.read``."""
    counts = "SELECT org, cycle, used, ends FROM counts WHERE ends > ?"
    names = "SELECT org, kind, name, seen FROM names ORDER BY seen"
    admitted = "SELECT key, day FROM admitted WHERE day > ?"
    sessions = "SELECT key, times FROM sessions WHERE times < 0 OR times >= ? ORDER BY times DESC"
    try:
        for part in _parts(connection, counts, now):
            yield LedgerRows(counts=[(_text(org), _text(cycle), int(n), Instant(end)) for org, cycle, n, end in part])
        for part in _parts(connection, names):
            known = [(_text(org), NameKind(kind), _text(name), Instant(seen)) for org, kind, name, seen in part]
            yield LedgerRows(names=known)
        for part in _parts(connection, admitted, int(now // _DAY) - ADMITTED_DAYS):
            yield LedgerRows(admitted=part)
        for part in _parts(connection, sessions, ended_before(now)):
            yield LedgerRows(sessions=part)
        if has_table(connection, "uids"):
            for part in _parts(connection, "SELECT key, uid FROM uids"):
                yield LedgerRows(uids=part)
    except (ValueError, TypeError) as error:
        raise DamagedFileError("holds values that are none of ours") from error


def set_aside(path: Path, fault: str) -> None:
    """Give a file that cannot be used another name, with the time in it. Raises OSError."""
    stamp = int(wall_clock())
    name = path.with_name(f"{path.name}.{stamp}.aside")
    while name.exists():
        stamp += 1
        name = path.with_name(f"{path.name}.{stamp}.aside")
    path.rename(name)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(name.with_name(name.name + suffix))
    log.error(
        "the state file cannot be used and was set aside: quotas and names start from nothing",
        fault=fault,
        path=str(path),
        kept_as=name.name,
    )


def _keep_private(path: Path) -> None:
    """Make the file if there is none, for its owner alone (0600), and take from others what they may do with it.

    SQLite gives what it keeps beside the file the same mode. Raises OSError.
    """
    os.close(_private(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC))
    for suffix in ("", "-wal", "-shm", ".lock"):
        file = path.with_name(path.name + suffix)
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mode & 0o077:
                try:
                    file.chmod(_MODE)
                except PermissionError:
                    log.warning("others may read the state file, and its mode cannot be changed", path=str(file))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, _MODE)


def _locked(path: Path) -> IO[str]:
    # Not the file itself: closing another handle of it would drop SQLite's own locks.
    lock = open(path.with_name(path.name + ".lock"), "a+", opener=_private)  # noqa: SIM115 - closed by who got it
    if fcntl is not None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read(20).strip()
            lock.close()
            raise HeldError(holder) from None
        except OSError:
            lock.close()
            raise
    with contextlib.suppress(OSError):
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
    return lock


def _parts(connection: sqlite3.Connection, query: str, *values: float) -> Iterator[list[Any]]:
    cursor = connection.execute(query, values)
    while part := cursor.fetchmany(CHUNK):
        yield part


def _bound(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    values = list(chain.from_iterable(rows))
    for index, value in enumerate(values):
        # A lone surrogate is no text to SQLite.
        if isinstance(value, str) and not value.isascii():
            values[index] = _storable(value)
    return values


def _storable(text: str) -> str | bytes:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")
