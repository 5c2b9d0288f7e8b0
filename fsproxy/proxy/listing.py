"""Brings the lists that change at run time into force, on this process (rules.md 10).

The filters look up the lists themselves, so a change is in force with the next request. Only when a list gets its first
entry, or loses its last one, the policies are made anew: a list without entries costs no request anything.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import structlog

from fsproxy.clock import now
from fsproxy.core.model import FilterName

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fsproxy.core.run_time_lists import ListChange, ListRow, RunTimeList
    from fsproxy.proxy.generation import Generation
    from fsproxy.state.run_time_lists import KeptLists
    from fsproxy.state.stores import Stores

LOOK_SECONDS = 0.5
"""Seconds between two looks at what has ended and what other processes have changed."""
log = structlog.get_logger("fsproxy")


class Judging(Protocol):
    """Who has the generation in force."""

    generation: Generation


class Listing:
    """Changes lists, and follows what becomes of them elsewhere and with time."""

    def __init__(self, stores: Stores, judging: Judging) -> None:
        self._stores = stores
        self._judging = judging
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def lists(self) -> KeptLists:
        """The lists of this process."""
        return self._stores.lists

    async def start(self) -> None:
        """Bring what was kept into force, and look again from time to time."""
        await self._look()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def change(self, change: ListChange) -> tuple[int, int]:
        """Carry out a change. Return how many entries were added and removed; they are in force then.

        Raise ListFullError.
        """
        # What another instance has added may be what is to be removed.
        await self._read()
        self.lists.sweep(change.at)
        _, added, removed = self.lists.change(change)
        self._changed({change.name})
        await self._bring_into_force()
        log.info("a list was changed", list=change.name.value, added=added, removed=removed)
        return added, removed

    async def take(self, rows: list[ListRow]) -> None:
        """Take in rows that another process of this instance knows. The store may be down, so it gets them as well."""
        news = self.lists.take(rows, now())
        self.lists.note(news)
        self._changed({row.name for row in news})
        await self._bring_into_force()

    async def write(self) -> str:
        """See ``Stores.write_lists``."""
        return await self._stores.write_lists()

    @property
    def not_kept(self) -> str:
        """Why a restart would forget what changed last; "": it would not."""
        return self._stores.lists_not_kept

    def put_in_force(self, generation: Generation) -> None:
        """Judge by this generation from now on, with the lists that have entries by now."""
        wanted = self.wanted()
        if generation.run_time.keys() != wanted.keys():
            generation = generation.with_lists(wanted)
        self._judging.generation = generation
        self._stores.ledger.forget_uids()

    def wanted(self) -> Mapping[FilterName, RunTimeList]:
        """Return the lists that have entries."""
        return MappingProxyType({name: self.lists.by_name[name] for name in self.lists.in_force()})

    async def _run(self) -> None:
        complained = False
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look()
            except Exception:  # a fault of ours must not end what follows the lists
                if not complained:
                    complained = True
                    log.exception("the lists cannot be followed: a fault of ours")

    async def _look(self) -> None:
        await self._read()
        self.lists.sweep(now())
        await self._bring_into_force()

    async def _read(self) -> None:
        self._changed(await self._stores.read_lists())

    def _changed(self, names: Collection[FilterName]) -> None:
        if FilterName.DELETING_USER in names:
            # Other processes may know uids of sessions that have not been asked for until now.
            self._stores.ledger.forget_uids()

    async def _bring_into_force(self) -> None:
        async with self._lock:
            while (wanted := self.wanted()).keys() != (before := self._judging.generation).run_time.keys():
                fresh = await asyncio.to_thread(before.with_lists, wanted)
                if self._judging.generation is before:
                    self.put_in_force(fresh)
