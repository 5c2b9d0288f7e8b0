"""The ledger's memory form: exact, synchronous, bounded, for one process (rules.md 5)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import msgspec

from fsproxy.core.limits.operations import (
    Admit,
    Answer,
    Claim,
    Claimed,
    Confirm,
    Mark,
    Move,
    NameKind,
    Operation,
    Recall,
    Release,
    Spend,
)
from fsproxy.core.model import Instant
from fsproxy.core.plan_writing import NameRow
from fsproxy.state.memory.call_log import CallLog
from fsproxy.state.memory.names import Names
from fsproxy.state.memory.rates import Rates
from fsproxy.state.memory.rows import LedgerRows
from fsproxy.state.memory.sessions import Sessions
from fsproxy.state.run_time_lists import KeptLists

OPERATIONS = 50
"""Operations that are carried out at once: about a millisecond's."""
NAMES = 500
"""Names that are claimed at once. A larger Claim is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much the ledger may keep. Clients choose these keys, so each is bounded.

    What was active longest ago goes first, and is counted. A million ids take about 120 MB.
    """

    ids: int = 2_000_000
    """Ids of sessions and of users that are under way: about two a session."""
    reservations: int = 100_000
    """Pages that wait for their answer."""
    uids: int = 1_000_000
    """Ids under way whose uid is known."""
    admitted: int = 1_000_000
    """Visitors that ramping has admitted."""
    names: int = 500_000
    """Names, over all orgs."""
    orgs: int = 100_000
    """Orgs with a count, and orgs with names."""
    rates: int = 500_000
    """Sessions and pages (once for each kind of call that they send) that called within the last 11 minutes."""
    page_names: int = 200_000
    """Pages whose properties are counted."""


class MemoryLedger:
    """See ``Ledger``. Time comes with each operation; nothing runs in between.

    What has expired is given back when it is met, and a few at a time with every operation.
    """

    def __init__(self, bounds: Bounds | None = None, *, journal: bool = False) -> None:
        """With ``journal``, changes are noted for ``drain``, which must then be called regularly."""
        bounds = bounds or Bounds()
        self._sessions = Sessions(bounds.ids, bounds.admitted, bounds.reservations, bounds.orgs, bounds.uids)
        self._names = Names(bounds.names, bounds.orgs, bounds.page_names)
        self._rates = Rates(bounds.rates)
        self.recent_names = self._names.recent_names
        self.lists = KeptLists(noted=journal)
        self._do: dict[type[Operation], Callable[[Any, Instant], Answer]] = {
            Admit: self._sessions.admit,
            Confirm: self._sessions.confirm,
            Release: self._sessions.release,
            Mark: self._sessions.mark,
            Recall: self._sessions.recall,
            Claim: self._names.claim,
            Spend: self._rates.spend,
            Move: self._rates.move,
        }
        self._parts: dict[str, Any] = {
            "ids": self._sessions.live.times,
            "uids": self._sessions.live.uids,
            "reservations": self._sessions.reservations,
            "admitted": self._sessions.admitted,
            "names": self._names,
            "orgs": self._sessions.counts,
            "rates": self._rates.calls,
            "page_names": self._names.page_names.pages,
        }
        if journal:
            self._sessions.live.start_journal()
            self._sessions.admitted.start_journal()
            self._sessions.counts.start_journal()
            self._names.start_journal()

    async def ask(self, operations: tuple[Operation, ...], now: Instant, deadline: float = inf) -> tuple[Answer, ...]:  # noqa: ARG002 - memory needs no deadline
        """Carry out the operations in order. Between slices of about a millisecond, others use the event loop.

        Each operation is atomic by itself, and of a Claim of many names each slice.
        """
        if len(operations) == 1 and (kind := type(operations[0])) is not Claim:
            return (self._do[kind](operations[0], now),)
        answers: list[Answer] = []
        for operation in operations:
            if answers and not len(answers) % OPERATIONS:
                await asyncio.sleep(0)
            if type(operation) is Claim and len(operation.names) > NAMES:
                answers.append(await self._claim_in_slices(operation, now))
            else:
                answers.append(self._do[type(operation)](operation, now))
        return tuple(answers)

    async def _claim_in_slices(self, claim: Claim, now: Instant) -> Claimed:
        refused: frozenset[str] = frozenset()
        known = 0
        for at in range(0, len(claim.names), NAMES):
            await asyncio.sleep(0)
            part = self._names.claim(msgspec.structs.replace(claim, names=claim.names[at : at + NAMES]), now)
            refused, known = refused | part.refused, part.known
        return Claimed(refused, known)

    def is_down(self, org: str) -> bool:  # noqa: ARG002 - none ever is
        """Return False: memory is never down."""
        return False

    async def look(self, operations: tuple[Operation, ...], now: Instant, deadline: float = inf) -> tuple[Answer, ...]:
        """Return what ``ask`` would answer, and change nothing. Never suspends, and never fails."""
        del deadline
        logs: dict[int, CallLog] = {}
        return tuple([self._look(each, now, logs) for each in operations])

    def _look(self, operation: Operation, now: Instant, logs: dict[int, CallLog]) -> Answer:
        match operation:
            case Admit():
                return self._sessions.look(operation, now)
            case Recall():
                return self._sessions.recall(operation, now)
            case Claim():
                return self._names.look(operation, now)
            case Spend():
                return self._rates.look(operation, now, logs)
            case _:
                return None

    def forget_uids(self) -> None:
        """Do nothing: memory always knows the uids of its sessions."""

    # -- for the writer that copies the ledger to disk

    def drain(self, most: int = sys.maxsize) -> LedgerRows:
        """Return at most so many rows that changed since they were last drained. They replace those of the same key.

        1,000 rows take about 0.5 ms. What is forgotten gives no row, as rows are worthless after their time. Units
        of pages that wait for their answer are counted, as their answer may come.
        """
        rows, sessions = LedgerRows(), self._sessions
        rows.lists = self.lists.drain(most)
        rows.counts = sessions.counts.drain(most - len(rows))
        rows.names = self._names.drain(most - len(rows))
        rows.admitted = sessions.admitted.drain(most - len(rows))
        rows.uids = sessions.live.uids.drain(most - len(rows))
        rows.sessions = sessions.live.times.drain(most - len(rows))
        return rows

    def note_all(self) -> Iterator[None]:
        """Let everything be drained once more, for a file that starts anew. A step of the iterator takes about 1 ms."""
        yield from self._sessions.counts.note_all()
        yield from self._names.note_all()
        yield from self._sessions.admitted.note_all()
        yield from self._sessions.live.note_all()
        self.lists.note(self.lists.rows())

    def restore(self, rows: LedgerRows, now: Instant) -> None:
        """Take back rows that were drained, into a ledger that nothing else was done with. What has ended is left out.

        They may come in parts: then sessions in descending order of their second value, uids after all sessions, and
        names by when they were last seen.
        """
        self.merge(rows, {}, now)
        # What was just read need not be written again.
        self.drain()

    def merge(self, rows: LedgerRows, counted_before: Mapping[tuple[str, str], int], now: Instant) -> None:
        """Take in what another process drained while this one worked, in parts as with ``restore``.

        ``counted_before`` is what the other's counts were, by org and cycle, when this process restored them. What
        they grew by is added.
        """
        self._sessions.merge(rows, counted_before, now)
        self._names.merge(rows.names)
        self.lists.merge(rows.lists, now)

    # -- for the admin's views and metrics

    def quota_usage(self, org: str) -> Mapping[str, int]:
        """Return the units used and reserved, by cycle."""
        return self._sessions.counts.used(org)

    def names_usage(self, org: str) -> dict[NameKind, int]:
        """Return how many names are known, by kind."""
        return self._names.usage(org)

    def name_rows(self, org: str | None) -> Iterator[list[NameRow]]:
        """Yield all names that are known, of all orgs unless one is given. A step of the iterator takes about 1 ms."""
        return self._names.rows(org)

    async def org_usage(self, org: str) -> tuple[Mapping[str, int], Mapping[NameKind, int]]:
        """Return both. It neither waits nor fails."""
        return self.quota_usage(org), self.names_usage(org)

    def recent_orgs(self, most: int) -> list[str]:
        """Return orgs whose sessions are counted, then orgs of which names are known; the most recent of each first.

        At most so many of each.
        """
        return list(dict.fromkeys([*self._sessions.counts.recent(most), *self._names.recent(most)]))

    def usage(self) -> Bounds:
        """Return how much is kept, beside how much may be kept."""
        return Bounds(**{name: len(part) for name, part in self._parts.items()})

    def evicted(self) -> dict[str, int]:
        """Return how much was forgotten to make room since the start, by the fields of ``Bounds``."""
        return {name: part.evicted for name, part in self._parts.items()}
