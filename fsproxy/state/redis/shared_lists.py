"""The lists that change at run time, shared by all processes of one Redis (rules.md 10).

Each process has all rows itself, and asks from time to time for those that were put since. Redis keeps the latest row
of each entry, whatever the order in which rows come. While it is down the lists stay as they are, and what is changed
meanwhile is sent once it is back. A store that has lost its rows gets them from every process that knows them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from fsproxy.clock import now
from fsproxy.core.limits.operations import LedgerDownError
from fsproxy.core.model import FilterName
from fsproxy.core.run_time_lists import MOST_ENTRIES, ListRow, entry_from, text_of
from fsproxy.state.redis.ledger import RedisLedger

OWNER = "~lists"
"""In the place of an org: no org has these keys."""
AT_ONCE = 500
"""Rows of one question, which take Redis a few milliseconds."""


class SharedLists:
    """Keeps a process's lists and those of Redis alike."""

    def __init__(self, ledger: RedisLedger) -> None:
        self._ledger = ledger
        self._lists = ledger.lists
        self._store: object = None
        """What the store calls its lists; False: it has none; None: it was not asked yet."""
        self._number: float = 0
        """That of the last row that was read."""
        self._named: object = None
        """How often listed users were named in sessions, on all processes."""
        self._lock = asyncio.Lock()

    async def exchange(self) -> frozenset[FilterName]:
        """Send what was changed here, and take in what was changed elsewhere; return these lists. Never raises.

        ``deleting_user`` is also among them if a user of it was named elsewhere in a session. What could not be sent
        stays in ``KeptLists.unwritten``.
        """
        changed: set[FilterName] = set()
        async with self._lock:
            with suppress(LedgerDownError):
                if not self._ledger.is_down(OWNER):
                    await self._read(changed)
                    await self._write()
                    if self._ledger.named_listed_user:
                        self._ledger.named_listed_user = False
                        await self._ask(["named"])
        return frozenset(changed)

    async def _read(self, changed: set[FilterName]) -> None:
        while True:
            store, number, rows, named = await self._ask(["rows_after", self._number, AT_ONCE])
            if named != self._named:
                self._named = named
                changed.add(FilterName.DELETING_USER)
            if store != self._store:
                # Another store, or it was emptied: it is read from its beginning, and gets what is known here.
                is_whole, self._store, self._number = self._number == 0, store, 0
                self._lists.note(self._lists.rows())
                if not is_whole:
                    continue
            known = [found for each in rows if (found := _row(*each)) is not None]
            changed |= {row.name for row in self._lists.merge(known, now())}
            self._number = number
            if len(rows) < AT_ONCE:
                return

    async def _write(self) -> None:
        while rows := self._lists.drain(AT_ONCE):
            try:
                wire = [[f"{row.name}|{text_of(row.entry)}", row.ends, row.changed] for row in rows]
                self._store = await self._ask(["put_rows", wire])
            except BaseException:
                self._lists.note(rows)
                raise

    async def _ask(self, question: list[Any]) -> Any:
        return (await self._ledger.send(OWNER, question))[0]


def _row(text: str, ends: float, changed: float) -> ListRow | None:
    """Return a row; None for what this version does not know."""
    name, _, entry = text.partition("|")
    try:
        known = FilterName(name)
        return ListRow(known, entry_from(known, entry), float(ends), float(changed)) if known in MOST_ENTRIES else None
    except ValueError:
        return None
