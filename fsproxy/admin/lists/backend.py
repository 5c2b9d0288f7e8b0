"""What the admin port asks of the program about lists that change at run time: for one process, and what all answer."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from heapq import nsmallest

from fsproxy.admin.lists.answers import MOST_SHOWN, NAMES, ListedEntry, ListOutcome, ListReport
from fsproxy.admin.state_answers import ListSummary
from fsproxy.clock import now
from fsproxy.core.model import FilterName
from fsproxy.core.run_time_lists import Entry, ListChange, ListRow, text_of
from fsproxy.proxy.data_plane import DataPlane


class ListBackend(ABC):
    """Shows and changes lists. Methods may raise ``backend.UnansweredError``."""

    @abstractmethod
    async def change(self, change: ListChange) -> ListOutcome:
        """Change a list; the change is in force then. Raise ListFullError."""

    @abstractmethod
    async def show(self, name: FilterName) -> ListReport:
        """Return a list with its entries."""


class SingleLists(ListBackend):
    """Of this process."""

    def __init__(self, data_plane: Callable[[], DataPlane]) -> None:
        """``data_plane`` may raise ``backend.UnansweredError``."""
        self._get = data_plane

    @property
    def _data_plane(self) -> DataPlane:
        return self._get()

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
        listed = self._listed(name)
        shown = await asyncio.to_thread(nsmallest, MOST_SHOWN, listed)
        return {**self._summary(name, listed), "entries": [ListedEntry(text_of(entry), ends) for ends, entry in shown]}

    def rows(self) -> Iterator[ListRow]:
        """Return all that is known, for a worker that has just started."""
        return self._data_plane.listing.lists.rows()

    async def take(self, rows: list[ListRow]) -> None:
        """Take in what another worker knows."""
        await self._data_plane.listing.take(rows)

    def summaries(self) -> list[ListSummary]:
        """Return all lists that have entries."""
        every = ((FilterName(name), self._listed(FilterName(name))) for name in NAMES)
        return [self._summary(name, listed) for name, listed in every if listed]

    def _listed(self, name: FilterName) -> list[tuple[float, Entry]]:
        """Return when entries end, and what stands for them: 100,000 in about 5 ms."""
        moment = now()
        rows = self._data_plane.listing.lists.by_name[name].rows
        return [(ends, entry) for entry, (ends, _) in rows.items() if ends > moment]

    def _summary(self, name: FilterName, listed: list[tuple[float, Entry]]) -> ListSummary:
        return {
            "name": name.value,
            "mode": self._mode(name),
            "count": len(listed),
            "first_end": min(listed)[0] if listed else None,
            "last_end": max(listed)[0] if listed else None,
            "not_kept": self._data_plane.listing.not_kept or None,
        }

    def _mode(self, name: FilterName) -> str:
        generation = self._data_plane.generation
        judging = (each.mode for each in generation.snapshot.default.on_page if each.name is name)
        settings = getattr(generation.config.core.default.filters, name)
        return str(next(judging, settings.mode).value)
