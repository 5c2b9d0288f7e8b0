"""The lists that change at run time, and what of them the file or the shared store lacks (rules.md 10)."""

from __future__ import annotations

from collections.abc import Iterable

from fsproxy.core.model import FilterName
from fsproxy.core.run_time_lists import Entry, ListChange, ListRow, RunTimeLists


class KeptLists(RunTimeLists):
    """The lists of a process. With ``noted``, what changes here is kept until ``drain`` takes it."""

    def __init__(self, *, noted: bool = True) -> None:
        super().__init__()
        self._noted = noted
        self._unwritten: dict[tuple[FilterName, Entry], ListRow] = {}
        self.newest: float = 0.0
        """``changed`` of the newest row that was merged."""

    @property
    def unwritten(self) -> int:
        """How many rows the file or the store lacks."""
        return len(self._unwritten)

    def change(self, change: ListChange) -> tuple[list[ListRow], int, int]:
        """See ``RunTimeLists``."""
        found = super().change(change)
        self.note(found[0])
        return found

    def merge(self, rows: Iterable[ListRow], now: float) -> list[ListRow]:
        """Take in what was written, here or elsewhere; return what was news."""
        rows = list(rows)
        self.newest = max([self.newest, *(row.changed for row in rows)])
        return self.take(rows, now)

    def note(self, rows: Iterable[ListRow]) -> None:
        """Let these rows be written, where no newer ones are to be."""
        if not self._noted:
            return
        for row in rows:
            known = self._unwritten.get((row.name, row.entry))
            if known is None or known.changed <= row.changed:
                self._unwritten[row.name, row.entry] = row

    def drain(self, most: int) -> list[ListRow]:
        """Remove and return at most so many rows that are to be written. The latest of an entry is its only one."""
        unwritten = self._unwritten
        return [unwritten.pop(next(iter(unwritten))) for _ in range(min(most, len(unwritten)))]
