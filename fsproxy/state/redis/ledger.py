"""The ledger's form in Redis or Valkey: exact over any number of processes and machines (rules.md 5).

Time is the server's; of the caller's only distances matter, so that clocks need not agree. A call's time is
moved onto the server's clock by an estimate of how far the two are apart (half a round trip's doubt at most).
"""

from __future__ import annotations

import asyncio
from typing import Any

from fsproxy.core.limits.operations import (
    Admit,
    Answer,
    Claim,
    Claimed,
    Confirm,
    LedgerDownError,
    Mark,
    Move,
    NameKind,
    Operation,
    Release,
)
from fsproxy.core.model import Instant
from fsproxy.state.memory.recent_names import RecentNames
from fsproxy.state.redis.breaker import Breaker
from fsproxy.state.redis.connection import RedisLink
from fsproxy.state.redis.known import KnownUids
from fsproxy.state.redis.local_answers import UNKNOWN, Here
from fsproxy.state.redis.wire import clock_to_wire, from_wire, new_names, org_base, to_wire
from fsproxy.state.redis.write_rate import WriteRate

ID_WRITES = (250, 500)
"""Ids of sessions and users, unknown to this process, that it marks in a second: of one org, and of all.

Clients choose them. A key takes about 160 bytes for 30 minutes: 140 MB of all, for each process (rules.md 5)."""


class RedisLedger:
    """See ``Ledger``. ``try_now`` answers what this process knows (``redis_known``).

    What has no answer (Mark, Confirm, Release, Move) it sends behind, in order: nobody waits for it. For tests,
    ``callers_clock`` takes the caller's time for the server's, and ``remembers`` False asks for everything.
    """

    def __init__(
        self,
        url: str,
        prefix: str,
        timeout: float,
        breaker: Breaker | None = None,
        *,
        callers_clock: bool = False,
        remembers: bool = True,
    ) -> None:
        self.breaker = breaker or Breaker("redis")
        self._prefix = prefix
        self._timeout = timeout
        self._callers_clock = callers_clock
        self._remembers = remembers
        self._here = Here()
        self.recent_names = RecentNames()
        self.new_names = self._here.new_names
        self.id_rate = WriteRate("sessions", *ID_WRITES)
        self._link = RedisLink(url, timeout, org_base(prefix, "~probe"), self.breaker, self._connected)

    async def start(self) -> None:
        """Connect; a server that is not there does not keep the program from starting."""
        await self._link.start()

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()

    # -- the contract

    def try_now(self, operations: tuple[Operation, ...], now: Instant) -> tuple[Answer, ...] | None:
        """What is known here, or nothing at all."""
        if not operations:
            return ()
        if not self._remembers:
            return None
        answers: list[Any] = []
        for operation in operations:
            answer = self._here.answer(operation, now, behind=not self.breaker.is_open)
            if answer is UNKNOWN:
                return None
            answers.append(answer)
        for operation in operations:
            self._done_here(operation, now)
        return tuple(answers)

    async def ask(self, operations: tuple[Operation, ...], now: Instant, deadline: float) -> tuple[Answer, ...]:
        """One round trip, with all that others ask in the same tick. Raises LedgerDownError."""
        answers: list[Any] = [
            self._here.answer(each, now, behind=False) if self._remembers else UNKNOWN for each in operations
        ]
        asked = [each for each, answer in zip(operations, answers, strict=True) if answer is UNKNOWN]
        for operation, answer in zip(operations, answers, strict=True):
            if answer is not UNKNOWN:
                self._done_here(operation, now)
        if asked:
            told = await self._told(self._send(asked, now), deadline)
            for place, operation in zip(
                (n for n, answer in enumerate(answers) if answer is UNKNOWN), asked, strict=True
            ):
                answers[place] = self._learn(operation, told.pop(0), now)
        return tuple(answers)

    # -- for the admin's views and for tests

    async def quota_usage(self, org: str) -> dict[str, int]:
        """Units used and reserved, by cycle. Raises LedgerDownError."""
        return (await self.org_usage(org))[0]

    async def org_usage(self, org: str) -> tuple[dict[str, int], dict[NameKind, int]]:
        """The same, and how many names are known by kind. Raises LedgerDownError."""
        asked = [["quota_usage"], ["names_usage", [kind.value for kind in NameKind]]]
        pairs, counts = await self._link.ask(org_base(self._prefix, org), asked, None)
        return dict(zip(pairs[1::2], map(int, pairs[2::2]), strict=True)), dict(zip(NameKind, counts, strict=True))

    def recent_orgs(self, most: int) -> list[str]:
        """At most so many orgs of which this process has asked, the last first."""
        return self.recent_names.orgs(most)

    # -- pages' clocks: their offsets must be the same in every process

    def fix_clock(self, org: str, page: str, first: float, latest: float) -> asyncio.Future[list[Any]]:
        """Fix or move a page's clock; the future holds the one that is kept, on the server's clock."""
        asked = clock_to_wire(org, page, first, latest, self.skew)
        return self._link.ask(org_base(self._prefix, org), [asked], None)

    @property
    def skew(self) -> float:
        """What the server's clock is ahead of ours, in seconds."""
        return 0.0 if self._callers_clock else self._link.skew or 0.0

    # -- what is known here

    def _connected(self) -> None:
        self._here.known.forget()

    def forget_uids(self) -> None:
        """Ask anew for the uids of sessions: a list of users has changed, and other processes may know them."""
        self._here.known.uids = KnownUids()

    def _done_here(self, operation: Operation, now: Instant) -> None:
        """What follows from an operation that was answered here."""
        here = self._here
        match operation:
            case Mark():
                due = here.due(operation, now)
                strange = sum(not here.known.has(key) for key in due)
                # A session that is over the rate is marked by its next bundle; a uid is never held back.
                if due and (operation.uid or self.id_rate.take(operation.org, strange) == strange):
                    here.identified(operation, now)
                    for key in due:
                        here.known.mark(key, now)
                    self._tell(operation, now, due)
            case Admit():
                here.known.holds_nothing(operation.token)
            case Confirm() | Release():
                told = here.is_told(operation, now)
                here.known.end(operation.token)
                if not told:
                    if isinstance(operation, Confirm):
                        here.identified(operation, now)
                    self._tell(operation, now, [])
            case Move():
                self._tell(operation, now, [])

    def _tell(self, operation: Operation, now: Instant, marked: list[int]) -> None:
        """Send it behind. Should it not arrive, ``marked`` are told again by the next bundle; a unit lapses."""

        def answered(sent: asyncio.Future[list[Any]]) -> None:
            if not sent.cancelled() and sent.exception() is None:
                self._learn(operation, sent.result()[0], now)
                return
            for key in marked:
                self._here.known.unmark(key, now)

        try:
            self._send([operation], now).add_done_callback(answered)
        except LedgerDownError:
            for key in marked:
                self._here.known.unmark(key, now)

    # -- asking

    def _send(self, operations: list[Operation], now: Instant) -> asyncio.Future[list[Any]]:
        skew = self.skew
        wire = [to_wire(each, skew) for each in operations]
        return self._link.ask(org_base(self._prefix, operations[0].org), wire, now if self._callers_clock else None)

    async def _told(self, sent: asyncio.Future[list[Any]], deadline: float) -> list[Any]:
        if deadline >= self._timeout:
            # The link's own limit holds: no timer of its own for each request.
            return await sent
        try:
            async with asyncio.timeout(max(deadline, 0.0)):
                return await sent
        except TimeoutError:
            raise LedgerDownError from None

    def _learn(self, operation: Operation, told: Any, now: Instant) -> Answer:
        answer = from_wire(operation, told)
        self._here.learn(operation, answer, told, now)
        if isinstance(operation, Claim) and isinstance(answer, Claimed):
            new = new_names(operation, told)
            self.new_names.learn(operation.org, len(new), float(told[1]))
            self.recent_names.record(operation, new, answer.refused, now)
        elif isinstance(operation, Admit):
            self.recent_names.touch(operation.org)
        return answer
