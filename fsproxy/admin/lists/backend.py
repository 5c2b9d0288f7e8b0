"""What the admin port asks of the program about lists that change at run time: for one process, and what all answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from fsproxy.admin.lists.answers import MOST_SHOWN, NAMES, ListedEntry, ListOutcome, ListReport
from fsproxy.admin.state_answers import ListSummary
from fsproxy.clock import now
from fsproxy.core.model import FilterName
from fsproxy.core.run_time_lists import ListChange, ListRow, text_of
from fsproxy.proxy.data_plane import DataPlane


class ListBackend(ABC):
    """Shows and changes lists. Methods may raise ``backend.UnansweredError``."""

    @abstractmethod
    async def change(self, change: ListChange) -> ListOutcome:
        """Change a list; the change is in force then. Raise ListFullError and SilentWorkersError."""

    @abstractmethod
    async def show(self, name: FilterName) -> ListReport:
        """Return a list with its entries."""


class SingleLists(ListBackend):
    """Of this process."""

    def __init__(self, data_plane: DataPlane) -> None:
        self._data_plane = data_plane

    async def change(self, change: ListChange) -> ListOutcome:
        """See ``ListBackend``. It is in force before it is written."""
        listing = self._data_plane.listing
        added, removed = await listing.change(change)
        not_kept = await listing.write() or None
        count = listing.lists.by_name[change.name].live
        return {
            "name": change.name.value,
            "mode": self._mode(change.name),
            "added": added,
            "removed": removed,
            "count": count,
            "not_kept": not_kept,
        }

    async def show(self, name: FilterName) -> ListReport:
        """See ``ListBackend``."""
        moment = now()
        rows = [(row.ends, row.entry) for row in self._data_plane.listing.lists.rows(name) if row.ends > moment]
        shown = sorted(rows, key=lambda row: row[0])[:MOST_SHOWN]
        return {**self._summary(name), "entries": [ListedEntry(text_of(entry), ends) for ends, entry in shown]}

    def rows(self) -> Iterator[ListRow]:
        """Return all that is known, for a worker that has just started."""
        return self._data_plane.listing.lists.rows()

    async def take(self, rows: list[ListRow]) -> None:
        """Take in what another worker knows."""
        await self._data_plane.listing.take(rows)

    def summaries(self) -> list[ListSummary]:
        """Return all lists that have entries."""
        return [found for name in NAMES if (found := self._summary(FilterName(name)))["count"]]

    def _summary(self, name: FilterName) -> ListSummary:
        listing, moment = self._data_plane.listing, now()
        ends = [row.ends for row in listing.lists.rows(name) if row.ends > moment]
        return {
            "name": name.value,
            "mode": self._mode(name),
            "count": len(ends),
            "first_end": min(ends, default=None),
            "last_end": max(ends, default=None),
            "not_kept": listing.not_kept or None,
        }

    def _mode(self, name: FilterName) -> str:
        generation = self._data_plane.generation
        judging = (each.mode for each in generation.snapshot.default.on_page if each.name is name)
        settings = getattr(generation.config.core.default.filters, name)
        return str(next(judging, settings.mode).value)
