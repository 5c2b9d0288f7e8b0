"""The ledger's memory form: exact, synchronous, bounded, for one process (rules.md 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fsproxy.core.limits.operations import (
    Admit,
    Answer,
    Claim,
    Confirm,
    Mark,
    NameKind,
    Operation,
    Release,
    Spend,
)
from fsproxy.core.model import Instant
from fsproxy.shell.ledger.names import Names
from fsproxy.shell.ledger.rates import Rates
from fsproxy.shell.ledger.sessions import Sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much the ledger may keep. Clients choose these keys, so each is bounded.

    What was active longest ago goes first, and is counted. A million ids take about 120 MB.
    """

    ids: int = 2_000_000
    """Ids of sessions and of users that are under way: about two a session."""
    reservations: int = 100_000
    """Pages that wait for their answer."""
    admitted: int = 1_000_000
    """Visitors that ramping has let in."""
    names: int = 500_000
    """Names, over all orgs."""
    orgs: int = 100_000
    """Orgs with a count, and orgs with names."""
    rates: int = 500_000
    """Sessions (twice, if they send events and user calls) that called within the last 6 minutes."""


class LedgerUsage(msgspec.Struct, frozen=True, kw_only=True):
    """How much is kept, and how much had to go before its time since the start: for gauges."""

    ids: int
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


class MemoryLedger:
    """See ``Ledger``. Time comes with each operation; nothing runs in between.

    What has expired is given back when it is met, and a few at a time with every operation.
    """

    def __init__(self, bounds: Bounds | None = None, *, journal: bool = False) -> None:
        """With ``journal``, changes are noted for ``drain``, which must then be called regularly."""
        bounds = bounds or Bounds()
        self._sessions = Sessions(bounds.ids, bounds.admitted, bounds.reservations, bounds.orgs)
        self._names = Names(bounds.names, bounds.orgs)
        self._rates = Rates(bounds.rates)
        self._do: dict[type[Operation], Callable[[Any, Instant], Answer]] = {
            Admit: self._sessions.admit,
            Confirm: self._sessions.confirm,
            Release: self._sessions.release,
            Mark: self._sessions.mark,
            Claim: self._names.claim,
            Spend: self._rates.spend,
        }
        if journal:
            self._sessions.live.touched = set()
            self._sessions.admitted.touched = set()
            self._sessions.counts.touched = {}
            self._names.touched = set()

    def try_now(self, operations: tuple[Operation, ...], now: Instant) -> tuple[Answer, ...]:
        """Carry out the operations in order. Never None: memory always knows."""
        do = self._do
        return tuple([do[type(operation)](operation, now) for operation in operations])

    async def ask(self, operations: tuple[Operation, ...], now: Instant, deadline: float) -> tuple[Answer, ...]:  # noqa: ARG002 - memory needs no deadline
        """The same; it neither waits nor fails."""
        return self.try_now(operations, now)

    def drain(self) -> LedgerRows:
        """What changed since the last time: rows to put in place of those with the same key.

        What is forgotten is not told: rows are worthless after their time. Units of pages that wait for
        their answer are counted, as their answer may come.
        """
        sessions = self._sessions
        return LedgerRows(
            sessions.live.drain(), sessions.admitted.drain(), sessions.counts.drain(), self._names.drain()
        )

    def restore(self, rows: LedgerRows, now: Instant) -> None:
        """Take back all rows that were drained, into a ledger that is still empty. What has ended is left out."""
        self._sessions.restore(rows.sessions, rows.admitted, rows.counts, now)
        self._names.restore(rows.names)
        # What was just read need not be written again.
        self.drain()

    def quota_usage(self, org: str) -> Mapping[str, int]:
        """Units used and reserved, by cycle."""
        return self._sessions.counts.used(org)

    def orgs_with_names(self, most: int) -> list[str]:
        """Orgs of which names are known, the one that claimed last first: at most so many."""
        return self._names.recent(most)

    def names_usage(self, org: str) -> dict[NameKind, int]:
        """How many names are known, by kind."""
        return self._names.usage(org)

    def usage(self) -> LedgerUsage:
        """How much is kept of everything."""
        sessions = self._sessions
        return LedgerUsage(
            ids=len(sessions.live),
            reservations=len(sessions.holds),
            admitted=len(sessions.admitted),
            names=len(self._names),
            orgs=len(sessions.counts),
            rates=len(self._rates.calls),
            evicted={
                "ids": sessions.live.evicted,
                "reservations": sessions.holds.evicted,
                "admitted": sessions.admitted.evicted,
                "names": self._names.evicted,
                "orgs": sessions.counts.evicted,
                "rates": self._rates.calls.evicted,
            },
        )
