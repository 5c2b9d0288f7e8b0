"""The SQLite file behind the memory form: opened, read, written, pruned (rules.md 5). Everything here blocks.

Rows go in and out many at a time, as one long step of SQLite, which holds no lock of Python's, disturbs the event loop
less than many short ones. The file holds digests of visitors' ids alone.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any

from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import FilterName, Instant
from fsproxy.core.plan_writing import NameRow
from fsproxy.core.run_time_lists import ListRow
from fsproxy.state.memory.live_sessions import ended_before
from fsproxy.state.memory.rows import LedgerRows
from fsproxy.state.memory.sessions import ADMITTED_DAYS, DAY
from fsproxy.state.sqlite.private_files import keep_private, lock, set_aside
from fsproxy.state.sqlite.schema import (
    NewerFileError,
    has_table,
    known,
    prepare,
    require_usable,
    strange_values,
    unfit,
)
from fsproxy.state.sqlite.tables import TABLES
from fsproxy.state.sqlite.take_up import take_up

AT_ONCE = 256
"""Rows of one statement."""
CHUNK = 2_000
"""Rows read at once, which take about 1 ms of the event loop's time when they are merged."""
WALKED = 5_000
"""Keys of each table that one ``prune`` looks at."""


@dataclass(slots=True)
class LedgerFile:
    """An open file that is this process's alone until it is closed."""

    path: Path
    _connection: sqlite3.Connection
    _lock: IO[str]
    _inode: int
    _walked: dict[str, tuple[Any, ...] | None] = field(default_factory=dict)
    """How far ``prune`` has come in each table; None: it begins anew."""
    incident: str = ""
    """What became of the file that was there before, if it could not be used."""
    is_private: bool = True
    """No other user may read it."""

    @classmethod
    def open(cls, path: Path) -> LedgerFile:
        """Open or make it, and its folder. One that cannot be used is set aside; what was kept aside is taken up.

        Raises HeldError, OSError and sqlite3.Error: then nothing was changed.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = lock(path)
        try:
            private, incident = keep_private(path), ""
            if path.stat().st_size and (incident := _aside_if_unfit(path)):
                private = keep_private(path)
            connection = prepare(path)
            take_up(connection, path)
            inode = path.stat().st_ino
            return cls(path, connection, handle, inode, incident=incident, is_private=private)
        except BaseException:
            handle.close()
            raise

    def is_there(self) -> bool:
        """Return False if the file was removed or replaced, so that what is written would be lost."""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def size(self) -> int:
        """Return how many rows it has, ended ones too: 2,000,000 are counted in about 30 ms. Raises sqlite3.Error."""
        counts = (f"SELECT count(*) FROM {each.name}" for each in TABLES if has_table(self._connection, each.name))  # noqa: S608
        return sum(self._connection.execute(count).fetchone()[0] for count in counts)

    def write(self, rows: LedgerRows) -> None:
        """Replace the rows of the same keys, all or none. Raises sqlite3.Error."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for table in TABLES:
                given: Sequence[tuple[Any, ...]] = getattr(rows, table.name)
                for start in range(0, len(given), AT_ONCE):
                    part = given[start : start + AT_ONCE]
                    self._connection.execute(table.replace(len(part)), _bound(part))
            self._connection.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled back already.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def read(self, now: Instant) -> Iterator[LedgerRows]:
        """Yield all rows that have not ended, in parts: see ``MemoryLedger.restore``.

        Raises sqlite3.Error, DamagedFileError.
        """
        return _read(self._connection, now)

    def prune(self, now: Instant, names_kept: float) -> None:
        """Delete what has ended of the next few thousand rows of each table. Raises sqlite3.Error.

        ``names_kept`` is the longest retention of names, in seconds.
        """
        limits = {
            "sessions": ended_before(now),
            "admitted": _last_forgotten_day(now),
            "counts": now,
            "names": now - names_kept,
            "uids": ended_before(now),
            "lists": now,
        }
        for table in TABLES:
            first, last = table.all_keys()
            after = self._walked.get(table.name) or first
            upto = self._connection.execute(table.walk, (*after, WALKED)).fetchone()
            self._connection.execute(table.prune, (*after, *(upto or last), limits[table.name]))
            self._walked[table.name] = upto

    def close(self) -> None:
        """Close it. Another process may open it then. Never raises."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._lock.close()


def read_held(path: Path, now: Instant) -> Iterator[LedgerRows]:
    """Do as ``LedgerFile.read`` with a file that another process has open."""
    with contextlib.closing(_read_only(path)) as connection:
        yield from _read(connection, now)


def read_names(path: Path) -> Iterator[NameRow]:
    """Yield the names in a file, which another process may have open. Raises sqlite3.Error, DamagedFileError."""
    with contextlib.closing(_read_only(path)) as connection, strange_values():
        for part in _names(connection):
            yield from part


def _aside_if_unfit(path: Path) -> str:
    """Set a file aside that cannot be used. Return what happened; "": it can be used. Raises OSError, sqlite3.Error."""
    try:
        fault = unfit(path)
    except NewerFileError as newer:
        return f"{set_aside(path, str(newer), f'v{newer.version}')}, until that program takes it up again"
    return set_aside(path, fault) if fault is not None else ""


def _read_only(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        require_usable(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _names(connection: sqlite3.Connection) -> Iterator[list[NameRow]]:
    where = known(connection, "kind", NameKind)
    for part in _parts(connection, f"SELECT org, kind, name, seen FROM names WHERE {where} ORDER BY seen"):  # noqa: S608
        yield [(_text(org), NameKind(kind), _text(name), Instant(seen)) for org, kind, name, seen in part]


def read_held_lists(path: Path, after: float) -> list[ListRow]:
    """Return the entries of lists that changed at that time or later, of a file that another process has open.

    Raises sqlite3.Error, DamagedFileError.
    """
    with contextlib.closing(_read_only(path)) as connection:
        return list(chain.from_iterable(part.lists for part in _read_lists(connection, 0.0, after)))


def _read(connection: sqlite3.Connection, now: Instant) -> Iterator[LedgerRows]:
    counts = "SELECT org, cycle, used, ends FROM counts WHERE ends > ?"
    admitted = "SELECT key, day FROM admitted WHERE day > ?"
    sessions = "SELECT key, times FROM sessions WHERE times < 0 OR times >= ? ORDER BY times DESC"
    with strange_values():
        for part in _parts(connection, counts, now):
            yield LedgerRows(counts=[(_text(org), _text(cycle), int(n), Instant(end)) for org, cycle, n, end in part])
        for names in _names(connection):
            yield LedgerRows(names=names)
        for part in _parts(connection, admitted, _last_forgotten_day(now)):
            yield LedgerRows(admitted=part)
        for part in _parts(connection, sessions, ended_before(now)):
            yield LedgerRows(sessions=part)
        if has_table(connection, "uids"):
            for part in _parts(connection, "SELECT key, uid FROM uids"):
                yield LedgerRows(uids=part)
    yield from _read_lists(connection, now)


def _read_lists(connection: sqlite3.Connection, now: float, after: float = 0.0) -> Iterator[LedgerRows]:
    if not has_table(connection, "lists"):
        return
    where = known(connection, "name", FilterName)
    query = f"SELECT name, entry, ends, changed FROM lists WHERE abs(ends) > ? AND changed >= ? AND {where}"  # noqa: S608
    with strange_values():
        for part in _parts(connection, query, now, after):
            rows = [
                ListRow(FilterName(name), entry, float(ends), float(changed)) for name, entry, ends, changed in part
            ]
            yield LedgerRows(lists=rows)


def _last_forgotten_day(now: Instant) -> int:
    """Return the last day whose admitted visitors are forgotten."""
    return int(now // DAY) - ADMITTED_DAYS


def _parts(connection: sqlite3.Connection, query: str, *values: float) -> Iterator[list[Any]]:
    cursor = connection.execute(query, values)
    while part := cursor.fetchmany(CHUNK):
        yield part


def _bound(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return the values of all rows as SQLite takes them: a text with a lone surrogate as bytes."""
    values = list(chain.from_iterable(rows))
    for index, value in enumerate(values):
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                values[index] = value.encode("utf-8", "surrogatepass")
    return values


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")
