"""Taking up what an older program kept aside during a rollback, so that the way there and back loses nothing.

The older program began from nothing, so what it counted since is added to what was counted before (rules.md 5).
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

import structlog

from fsproxy.state.sqlite.private_files import BESIDE
from fsproxy.state.sqlite.schema import STEPS, DamagedFileError, NewerFileError, prepare, reason_of, unfit
from fsproxy.state.sqlite.tables import TABLES

_KEPT = re.compile(r"\.\d+\.v(\d+)")
"""The end of such a file's name: when it was set aside, and its version."""
log = structlog.get_logger("fsproxy")


def take_up(connection: sqlite3.Connection, path: Path) -> None:
    """Add to the file at ``path``, which is open, what was kept aside beside it, and remove that. Never raises.

    What only a newer program can read stays, and so does what cannot be read: the log has a line about each.
    """
    for kept in sorted(path.parent.iterdir()):
        found = _KEPT.fullmatch(kept.name, len(path.name)) if kept.name.startswith(path.name) else None
        if found is None:
            continue
        try:
            _take_up(connection, kept, int(found[1]))
        except NewerFileError as newer:
            log.warning("state that was kept aside waits for a newer program", path=str(kept), reason=str(newer))
        except (OSError, sqlite3.Error, DamagedFileError) as error:
            log.error("state that was kept aside cannot be taken up", path=str(kept), reason=reason_of(error))  # noqa: TRY400


def _take_up(connection: sqlite3.Connection, kept: Path, version: int) -> None:
    if version > len(STEPS):
        # What this program does not know of it would be lost with the file.
        raise NewerFileError(version)
    # A crash may have come after the rows and before the removal. Then they are not counted twice. The name alone would
    # not do, as an operator may put another file there.
    mark = f"{kept.name} {kept.stat().st_ino}"
    if not connection.execute("SELECT 1 FROM taken_up WHERE file = ?", (mark,)).fetchone():
        if (fault := unfit(kept)) is not None:
            raise DamagedFileError(fault)
        prepare(kept).close()
        connection.execute("ATTACH ? AS kept", (str(kept),))
        try:
            rows = _add(connection, mark)
        finally:
            connection.execute("DETACH kept")
        log.info("state that was kept aside is taken up", path=str(kept), rows=rows)
    for suffix in ("", *BESIDE):
        kept.with_name(kept.name + suffix).unlink(missing_ok=True)


def _add(connection: sqlite3.Connection, mark: str) -> int:
    """Add all rows of the attached database and a mark, or none. Return how many. Raises sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        rows = sum(connection.execute(table.take_up).rowcount for table in TABLES)
        connection.execute("INSERT INTO taken_up VALUES (?)", (mark,))
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled back already.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return rows
