"""The ledger's memory form: exact, synchronous, bounded, for one process (rules.md 5)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fsproxy.core.limits.operations import (
    Admit,
    Answer,
    Claim,
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
from fsproxy.state.memory.names import Names
from fsproxy.state.memory.rates import Rates
from fsproxy.state.memory.sessions import Sessions


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
    """Visitors that ramping has let in."""
    names: int = 500_000
    """Names, over all orgs."""
    orgs: int = 100_000
    """Orgs with a count, and orgs with names."""
    rates: int = 500_000
    """Sessions (twice, if they send events and user calls) that called within the last 11 minutes."""


class LedgerUsage(msgspec.Struct, frozen=True, kw_only=True):
    """How much is kept, and how much had to go before its time since the start: for gauges."""

    ids: int
    uids: int
    reservations: int
    admitted: int
    names: int
    orgs: int
    rates: int
    evicted: Mapping[str, int]
    """By the fields of ``Bounds``."""


class LedgerRows(msgspec.Struct):
    """What is worth keeping over a restart (rules.md 5): all but rates and reservations. No id of a visitor."""

    sessions: list[tuple[int, int]] = []
    """Key, and a session's times or the other key it goes by; opaque. Worthless after 30 minutes."""
    admitted: list[tuple[int, int]] = []
    """Key of a visitor, and the day (since 1970) of the last new session."""
    counts: list[tuple[str, str, int, Instant]] = []
    """Org, cycle, units used, end of the cycle."""
    names: list[tuple[str, NameKind, str, Instant]] = []
    """Org, kind, name (a long one's digest), last seen."""
    uids: list[tuple[int, int]] = []
    """Key of a session or user, and the digest of its uid. Worthless without that session."""

    def __len__(self) -> int:
        return len(self.sessions) + len(self.admitted) + len(self.counts) + len(self.names) + len(self.uids)


class MemoryLedger:
    """See ``Ledger``. Time comes with each operation; nothing runs in between.

    What has expired is given back when it is met, and a few at a time with every operation.
    """

    def __init__(self, bounds: Bounds | None = None, *, journal: bool = False) -> None:
        """With ``journal``, changes are noted for ``drain``, which must then be called regularly."""
        bounds = bounds or Bounds()
        self._sessions = Sessions(bounds.ids, bounds.admitted, bounds.reservations, bounds.orgs, bounds.uids)
        self._names = Names(bounds.names, bounds.orgs)
        self._rates = Rates(bounds.rates)
        self.lately = self._names.lately
        self.breaker: None = None
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
        if journal:
            self._sessions.live.journal()
            self._sessions.admitted.journal()
            self._sessions.counts.touched = {}
            self._names.journal()

    def try_now(self, operations: tuple[Operation, ...], now: Instant) -> tuple[Answer, ...]:
        """Carry out the operations in order. Never None: memory always knows."""
        do = self._do
        return tuple([do[type(operation)](operation, now) for operation in operations])

    async def ask(self, operations: tuple[Operation, ...], now: Instant, deadline: float) -> tuple[Answer, ...]:  # noqa: ARG002 - memory needs no deadline
        """The same; it neither waits nor fails."""
        return self.try_now(operations, now)

    def forget_uids(self) -> None:
        """Nothing: memory always knows the uids of sessions."""

    def drain(self, most: int = sys.maxsize) -> LedgerRows:
        """What changed since it was last drained, at most so many rows, to put in place of those with the same key.

        1,000 rows take about 0.5 ms. What is forgotten is not told: rows are worthless after their time. Units
        of pages that wait for their answer are counted, as their answer may come.
        """
        sessions = self._sessions
        counts = sessions.counts.drain(most)
        names = self._names.drain(most - len(counts))
        admitted = sessions.admitted.drain(most - len(counts) - len(names))
        uids = sessions.live.uids.drain(most - len(counts) - len(names) - len(admitted))
        live = sessions.live.times.drain(most - len(counts) - len(names) - len(admitted) - len(uids))
        return LedgerRows(live, admitted, counts, names, uids)

    def note(self, rows: LedgerRows) -> None:
        """These were drained and could not be kept: drain them once more."""
        self._sessions.live.times.note(key for key, _ in rows.sessions)
        self._sessions.admitted.note(key for key, _ in rows.admitted)
        self._sessions.counts.note((org, cycle) for org, cycle, _, _ in rows.counts)
        self._names.note((org, kind, kept) for org, kind, kept, _ in rows.names)
        self._sessions.live.uids.table.note(key for key, _ in rows.uids)

    def note_all(self) -> Iterator[None]:
        """Drain everything once more: for a store that starts anew. A step of the iterator takes about 1 ms."""
        yield from self._sessions.counts.note_all()
        yield from self._names.note_all()
        yield from self._sessions.admitted.note_all()
        yield from self._sessions.live.note_all()

    def restore(self, rows: LedgerRows, now: Instant) -> None:
        """Take back rows that were drained, into a ledger that nothing else was done with. What has ended is left out.

        In parts, if need be: then sessions by their times, the largest first, uids after all sessions, and names by
        when they were seen.
        """
        self._sessions.restore(rows.sessions, rows.uids, rows.admitted, rows.counts, now)
        self._names.restore(rows.names)
        # What was just read need not be written again.
        self.drain()

    def merge(self, rows: LedgerRows, known: Mapping[tuple[str, str], int], now: Instant) -> None:
        """Take in what another process drained while this one worked, in parts as with ``restore``.

        ``known``: what its counts were, by org and cycle, when this one restored them; what they grew by is added.
        """
        self._sessions.merge(rows.sessions, rows.uids, rows.admitted, now)
        for org, cycle, used, ends in rows.counts:
            grown = used - known.get((org, cycle), 0)
            if ends > now and grown > 0:
                self._sessions.counts.of(org, cycle, ends, now).add(grown)
        self._names.restore(rows.names)

    def quota_usage(self, org: str) -> Mapping[str, int]:
        """Units used and reserved, by cycle."""
        return self._sessions.counts.used(org)

    def orgs_lately(self, most: int) -> list[str]:
        """Orgs whose sessions are counted, the one that was asked for last first, then those of which names are known.

        At most so many of each.
        """
        return list(dict.fromkeys([*self._sessions.counts.recent(most), *self._names.recent(most)]))

    def names_usage(self, org: str) -> dict[NameKind, int]:
        """How many names are known, by kind."""
        return self._names.usage(org)

    async def org_usage(self, org: str) -> tuple[Mapping[str, int], Mapping[NameKind, int]]:
        """Both. It neither waits nor fails."""
        return self.quota_usage(org), self.names_usage(org)

    def usage(self) -> LedgerUsage:
        """How much is kept of everything."""
        sessions = self._sessions
        return LedgerUsage(
            ids=len(sessions.live.times),
            uids=len(sessions.live.uids.table),
            reservations=len(sessions.reservations),
            admitted=len(sessions.admitted),
            names=len(self._names),
            orgs=len(sessions.counts),
            rates=len(self._rates.calls),
            evicted={
                "ids": sessions.live.times.evicted,
                "uids": sessions.live.uids.table.evicted,
                "reservations": sessions.reservations.evicted,
                "admitted": sessions.admitted.evicted,
                "names": self._names.evicted,
                "orgs": sessions.counts.evicted,
                "rates": self._rates.calls.evicted,
            },
        )
