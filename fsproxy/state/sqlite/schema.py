"""The versions of the ledger's SQLite file: whether this program can use one, and how it is brought up to date."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from fsproxy.state.sqlite.tables import TABLES

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
    (
        "ALTER TABLE fsproxy_schema ADD COLUMN newest INTEGER",
        "CREATE TABLE taken_up (file PRIMARY KEY) WITHOUT ROWID",
    ),
)
"""Step n makes version n of version n - 1. A new file takes all of them, an older one those that it lacks.

``fsproxy_schema.version`` is the oldest version whose programs can use the file, ``newest`` the one that it has."""
COMPATIBLE_FROM = 3
"""Programs of this version and later can use a file of the newest one: they leave alone what they do not know.

A step that they must not overlook, or a row whose meaning changes, makes its own version of it. Then older programs set
the file aside, and the newer one takes it up again (``take_up``)."""
_CACHE_KB = 8192
_WAL_BYTES = 16 * 1024 * 1024
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""SQLite's primary codes for a file that is no database, or a damaged one."""


class DamagedFileError(Exception):
    """The file cannot be used as it is; the text says why."""


class NewerFileError(DamagedFileError):
    """Only a newer program can use the file."""

    def __init__(self, version: int) -> None:
        super().__init__(f"it is a newer program's: version {version}, and this one reads up to {len(STEPS)}")
        self.version = version


@contextlib.contextmanager
def strange_values() -> Iterator[None]:
    """Raise DamagedFileError for values that the ledger cannot take in."""
    try:
        yield
    except (TypeError, ValueError, LookupError) as error:
        raise DamagedFileError("holds values that are none of ours") from error


def unfit(path: Path) -> str | None:
    """Return why an existing file cannot be used, or None.

    Raises NewerFileError, and sqlite3.Error when it cannot be read now.
    """
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                return None
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                return "it is another program's"
            version = require_usable(connection)
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                return "it is damaged"
            for table in TABLES:
                if version >= len(STEPS) or has_table(connection, table.name):
                    connection.execute(table.walk, (*table.all_keys()[0], 0)).fetchone()
    except sqlite3.DatabaseError as error:
        if is_damage(error) or _primary(error) == sqlite3.SQLITE_ERROR:
            return "it is damaged, or no database"
        raise
    return None


def require_usable(connection: sqlite3.Connection) -> int:
    """Return the file's version, which may be a newer one that this program can use. Raises NewerFileError."""
    usable_from, version = _versions(connection)
    if usable_from > len(STEPS):
        raise NewerFileError(version)
    return version


def known(connection: sqlite3.Connection, column: str, values: type[StrEnum]) -> str:
    """Return the condition for rows whose column has one of these values: those of a newer program may have others.

    In a file of this version any other value is damage, and no row is left out.
    """
    is_newer = _versions(connection)[1] > len(STEPS)
    return f"{column} IN ({', '.join(map(repr, map(str, values)))})" if is_newer else "TRUE"


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
        version = _versions(connection)[1]
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
    yield f"UPDATE fsproxy_schema SET version = {COMPATIBLE_FROM}, newest = {len(STEPS)}"  # noqa: S608 - numbers of our own


def _versions(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return from which version on programs can use the file, and its own version. 0 and 0 for a new file."""
    if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return 0, 0
    usable_from, *more = connection.execute("SELECT * FROM fsproxy_schema").fetchone()
    # Up to version 3 a file had one number for both.
    return usable_from, more[0] if more else usable_from
