"""The tables of the ledger's SQLite file, and the statements for each."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import FilterName
from fsproxy.state.memory.keys import KEY_BITS


@dataclass(frozen=True, slots=True)
class Table:
    """One table, and the statements for it."""

    name: str
    keys: tuple[str, ...]
    values: tuple[str, ...]
    ended: str
    """Which rows are worthless, as a condition with one value to compare with."""
    sound: str
    """Which rows of a file that was kept aside can be taken up, as a condition."""
    both: str
    """What becomes of a row whose key is there already: what is set, ``excluded`` being the row that comes."""

    def replace(self, rows: int) -> str:
        """Replace so many rows."""
        columns = self.keys + self.values
        row = f"({','.join('?' * len(columns))})"
        return f"REPLACE INTO {self.name} ({', '.join(columns)}) VALUES {','.join([row] * rows)}"  # noqa: S608 - names of our own

    @property
    def take_up(self) -> str:
        """Take in the rows of the attached database ``kept``."""
        columns, keys = ", ".join(self.keys + self.values), ", ".join(self.keys)
        taken = f"INSERT INTO main.{self.name} ({columns}) SELECT {columns} FROM kept.{self.name} WHERE {self.sound}"  # noqa: S608
        return f"{taken} ON CONFLICT ({keys}) DO UPDATE SET {self.both}"

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


_KEYS = f"typeof(key) = 'integer' AND key BETWEEN 0 AND {2**KEY_BITS - 1}"
_KINDS, _LISTS = (f"IN ({', '.join(map(repr, map(str, each)))})" for each in (NameKind, FilterName))
TABLES = (
    Table(
        "lists",
        ("name", "entry"),
        ("ends", "changed"),
        "abs(ends) <= ?",
        f"name {_LISTS} AND typeof(ends) = 'real' AND typeof(changed) = 'real'",
        "ends = CASE WHEN excluded.changed > changed THEN excluded.ends ELSE ends END,"
        " changed = max(changed, excluded.changed)",
    ),
    # Who kept the file aside began to count anew, so the sum is what was used.
    Table(
        "counts",
        ("org", "cycle"),
        ("used", "ends"),
        "ends <= ?",
        "typeof(used) = 'integer' AND typeof(ends) = 'real'",
        "used = used + excluded.used, ends = max(ends, excluded.ends)",
    ),
    Table(
        "names",
        ("org", "kind", "name"),
        ("seen",),
        "seen <= ?",
        f"kind {_KINDS} AND typeof(seen) = 'real'",
        "seen = max(seen, excluded.seen)",
    ),
    Table(
        "admitted",
        ("key",),
        ("day",),
        "day <= ?",
        f"{_KEYS} AND typeof(day) = 'integer'",
        "day = max(day, excluded.day)",
    ),
    Table(
        "uids",
        ("key",),
        ("uid",),
        "NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.key = uids.key AND sessions.times >= ?)",
        f"{_KEYS} AND typeof(uid) = 'integer'",
        "uid = uid",
    ),
    Table(
        "sessions",
        ("key",),
        ("times",),
        # An alias is worthless once the session that it names is gone.
        "CASE WHEN times < 0 THEN NOT EXISTS (SELECT 1 FROM sessions AS chief WHERE chief.key = ~sessions.times)"
        " ELSE times < ? END",
        f"{_KEYS} AND typeof(times) = 'integer' AND abs(times) <= {2**KEY_BITS}",
        "times = CASE WHEN times >= 0 THEN max(times, excluded.times) ELSE times END",
    ),
)
