"""The tables of the ledger's SQLite file, their versions, and whether a file is one of ours."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

APPLICATION_ID = 0x66737078
"""``fspx``: in the file's head, it tells the file from any other program's."""
STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE sessions (key INTEGER PRIMARY KEY, times INTEGER NOT NULL)",
        "CREATE TABLE admitted (key INTEGER PRIMARY KEY, day INTEGER NOT NULL)",
        "CREATE TABLE counts (org, cycle, used INTEGER, ends REAL, PRIMARY KEY (org, cycle)) WITHOUT ROWID",
        "CREATE TABLE names (org, kind, name, seen REAL, PRIMARY KEY (org, kind, name)) WITHOUT ROWID",
    ),
    ("CREATE TABLE uids (key INTEGER PRIMARY KEY, uid INTEGER NOT NULL)",),
    ("CREATE TABLE lists (name, entry, ends REAL, changed REAL, PRIMARY KEY (name, entry)) WITHOUT ROWID",),
)
"""Step n makes version n of version n - 1. A new file takes all of them, an older one those that it lacks."""
_CACHE_KB = 8192
_WAL_BYTES = 16 * 1024 * 1024
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""SQLite's primary codes for a file that is no database, or a damaged one."""


class DamagedFileError(Exception):
    """The file cannot be used as it is; the text says why."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table, and the statements for it."""

    name: str
    keys: tuple[str, ...]
    values: tuple[str, ...]
    ended: str
    """Which rows are worthless, as a condition with one value to compare with."""

    def replace(self, rows: int) -> str:
        """Replace so many rows."""
        columns = self.keys + self.values
        row = f"({','.join('?' * len(columns))})"
        return f"REPLACE INTO {self.name} ({', '.join(columns)}) VALUES {','.join([row] * rows)}"  # noqa: S608 - names of our own

    def all_keys(self) -> tuple[list[float], list[bytes]]:
        """Return two keys: before all keys, and after all of them."""
        # SQLite orders numbers before texts before blobs, and no text that is kept as a blob begins with this byte.
        return [-inf] * len(self.keys), [b"\xff"] * len(self.keys)

    @property
    def walk(self) -> str:
        """Find the key so many rows after a key."""
        keys = ", ".join(self.keys)
        return f"SELECT {keys} FROM {self.name} WHERE {self._than('>')} ORDER BY {keys} LIMIT 1 OFFSET ?"  # noqa: S608 - names of our own

    @property
    def prune(self) -> str:
        """Delete what has ended between two keys."""
        return f"DELETE FROM {self.name} WHERE {self._than('>')} AND {self._than('<=')} AND ({self.ended})"  # noqa: S608

    def _than(self, operator: str) -> str:
        return f"({', '.join(self.keys)}) {operator} ({', '.join('?' * len(self.keys))})"


TABLES = (
    Table("lists", ("name", "entry"), ("ends", "changed"), "abs(ends) <= ?"),
    Table("counts", ("org", "cycle"), ("used", "ends"), "ends <= ?"),
    Table("names", ("org", "kind", "name"), ("seen",), "seen <= ?"),
    Table("admitted", ("key",), ("day",), "day <= ?"),
    Table(
        "uids",
        ("key",),
        ("uid",),
        "NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.key = uids.key AND sessions.times >= ?)",
    ),
    Table(
        "sessions",
        ("key",),
        ("times",),
        # An alias is worthless once the session that it names is gone.
        "CASE WHEN times < 0 THEN NOT EXISTS (SELECT 1 FROM sessions AS chief WHERE chief.key = ~sessions.times)"
        " ELSE times < ? END",
    ),
)


@contextlib.contextmanager
def strange_values() -> Iterator[None]:
    """Raise DamagedFileError for values that the ledger cannot take in."""
    try:
        yield
    except (TypeError, ValueError, LookupError) as error:
        raise DamagedFileError("holds values that are none of ours") from error


def unfit(path: Path) -> str | None:
    """Return why an existing file cannot be used, or None. Raises sqlite3.Error when it cannot be read now."""
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                return None
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                return "it is another program's"
            version = _version(connection)
            if version > len(STEPS):
                return f"it is a newer program's: version {version}, and this one reads up to {len(STEPS)}"
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                return "it is damaged"
            for table in TABLES:
                if version == len(STEPS) or has_table(connection, table.name):
                    connection.execute(table.walk, (*table.all_keys()[0], 0)).fetchone()
    except sqlite3.DatabaseError as error:
        if is_damage(error) or _primary(error) == sqlite3.SQLITE_ERROR:
            return "it is damaged, or no database"
        raise
    return None


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Return whether the file has this table; one of an earlier version may not. Raises sqlite3.Error."""
    return bool(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone())


def is_damage(error: Exception) -> bool:
    """Return whether the file is at fault, and not the disk or its rights."""
    return isinstance(error, DamagedFileError) or _primary(error) in _DAMAGED


def reason_of(error: Exception) -> str:
    """Return SQLite's or the system's own words, which hold no value of a row."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, sqlite3.OperationalError | DamagedFileError):
        return str(error)
    return type(error).__name__


def prepare(path: Path) -> sqlite3.Connection:
    """Open a file that can be used, or make one, and bring it to this version. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=1.0, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A crash of the machine loses nothing that was written. It costs a wait, in a thread of its own.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        version = _version(connection)
        if version < len(STEPS):
            connection.execute("BEGIN IMMEDIATE")
            for statement in _missing(version):
                connection.execute(statement)
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _primary(error: Exception) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def _missing(version: int) -> Iterator[str]:
    if not version:
        yield f"PRAGMA application_id = {APPLICATION_ID}"
        yield "CREATE TABLE fsproxy_schema (version INTEGER NOT NULL)"
        yield "INSERT INTO fsproxy_schema VALUES (0)"
    for step in STEPS[version:]:
        yield from step
    yield f"UPDATE fsproxy_schema SET version = {len(STEPS)}"  # noqa: S608 - a number of our own


def _version(connection: sqlite3.Connection) -> int:
    """Return the file's version; 0 for a new file."""
    if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return 0
    found: int = connection.execute("SELECT version FROM fsproxy_schema").fetchone()[0]
    return found
