"""The ledger's form in Redis or Valkey: exact over any number of processes and machines (rules.md 5).

Time is the server's; of the caller's only distances matter, so that clocks need not agree. A call's time is
moved onto the server's clock by an estimate of how far the two are apart (half a round trip's doubt at most).
"""

from __future__ import annotations

import asyncio
from typing import Any

from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
    Answer,
    Claim,
    Claimed,
    Confirm,
    LedgerDown,
    Mark,
    NameKind,
    Operation,
    Release,
)
from fsproxy.core.model import Instant
from fsproxy.shell.ledger.breaker import Breaker
from fsproxy.shell.ledger.keys import KeyKind, key_of
from fsproxy.shell.ledger.lately import Lately
from fsproxy.shell.ledger.redis_known import Known
from fsproxy.shell.ledger.redis_link import RedisLink
from fsproxy.shell.ledger.redis_wire import from_wire, id_of, new_names, org_base, to_wire

_UNKNOWN = object()


class RedisLedger:
    """See ``Ledger``. ``try_now`` answers what this process knows (``redis_known``).

    What has no answer (Mark, Confirm, Release) it sends behind, in order: nobody waits for it. For tests,
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
        self._known = Known()
        self._used: dict[str, int] = {}
        self.lately = Lately()
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
            answer = self._here(operation, now, behind=not self.breaker.is_open)
            if answer is _UNKNOWN:
                return None
            answers.append(answer)
        for operation in operations:
            self._done_here(operation, now)
        return tuple(answers)

    async def ask(self, operations: tuple[Operation, ...], now: Instant, deadline: float) -> tuple[Answer, ...]:
        """One round trip, with all that others ask in the same tick. Raises LedgerDown."""
        answers: list[Any] = [
            self._here(each, now, behind=False) if self._remembers else _UNKNOWN for each in operations
        ]
        asked = [each for each, answer in zip(operations, answers, strict=True) if answer is _UNKNOWN]
        for operation, answer in zip(operations, answers, strict=True):
            if answer is not _UNKNOWN:
                self._done_here(operation, now)
        if asked:
            told = await self._told(self._send(asked, now), deadline)
            for place, operation in zip(
                (n for n, answer in enumerate(answers) if answer is _UNKNOWN), asked, strict=True
            ):
                answers[place] = self._learn(operation, told.pop(0), now)
        return tuple(answers)

    # -- for the admin's views and for tests

    async def quota_usage(self, org: str) -> dict[str, int]:
        """Units used and reserved, by cycle. Raises LedgerDown."""
        return (await self.org_usage(org))[0]

    async def org_usage(self, org: str) -> tuple[dict[str, int], dict[NameKind, int]]:
        """The same, and how many names are known by kind. Raises LedgerDown."""
        asked = [["quota_usage"], ["names_usage", [kind.value for kind in NameKind]]]
        pairs, counts = await self._link.ask(org_base(self._prefix, org), asked, None)
        return dict(zip(pairs[1::2], map(int, pairs[2::2]), strict=True)), dict(zip(NameKind, counts, strict=True))

    def orgs_lately(self, most: int) -> list[str]:
        """At most so many orgs of which this process has asked, the last first."""
        return self.lately.orgs(most)

    # -- pages' clocks: their offsets must be the same in every process

    def fix_clock(self, org: str, page: str, offset: float) -> asyncio.Future[list[Any]]:
        """Send a page's offset; the future holds the one that stands, both on the server's clock."""
        key = id_of(KeyKind.PAGE, org, page).partition(":")[2]
        return self._link.ask(org_base(self._prefix, org), [["clock", key, offset + self.skew]], None)

    @property
    def skew(self) -> float:
        """What the server's clock is ahead of ours, in seconds."""
        return 0.0 if self._callers_clock else self._link.skew or 0.0

    # -- what is known here

    def _connected(self) -> None:
        self._known.forget()

    def _here(self, operation: Operation, now: Instant, *, behind: bool) -> Any:
        """What can be answered without asking; ``behind``: what has no answer may be sent later than this."""
        known = self._known
        match operation:
            case Mark():
                return None if behind or all(known.is_marked(key, now) for key in _keys(operation)) else _UNKNOWN
            case Confirm() | Release():
                return None if behind or self._is_told(operation, now) else _UNKNOWN
            case Claim():
                count = known.count_if_known(operation, now)
                return Claimed(frozenset(), count) if count is not None else _UNKNOWN
            case Admit(org=org, session=session, user=user) if session or user:
                key = key_of(KeyKind.SESSION, org, session) if session else key_of(KeyKind.USER, org, user)
                if known.is_under_way(key, now):
                    used = self._used.get(org, 0) if operation.quota is not None else 0
                    return Admitted(under_way=True, user_admitted=False, over_quota=False, used=used)
        return _UNKNOWN

    def _is_told(self, operation: Confirm | Release, now: Instant) -> bool:
        """Whether a page's end is no news: it held nothing, and its session is known to be under way."""
        if not self._known.is_free(operation.token):
            return False
        if isinstance(operation, Release):
            return True
        if operation.new or operation.remember_user:
            return False
        return all(self._known.is_under_way(key, now) for key in _keys(operation))

    def _done_here(self, operation: Operation, now: Instant) -> None:
        """What follows from an operation that was answered here."""
        match operation:
            case Mark():
                due = [key for key in _keys(operation) if not self._known.is_marked(key, now)]
                if due:
                    for key in due:
                        self._known.mark(key, now)
                    self._tell(operation, now, due)
            case Admit():
                self._known.holds_nothing(operation.token)
            case Confirm() | Release():
                told = self._is_told(operation, now)
                self._known.end(operation.token)
                if not told:
                    self._tell(operation, now, [])

    def _tell(self, operation: Operation, now: Instant, marked: list[int]) -> None:
        """Send it behind. Should it not arrive, ``marked`` are told again by the next bundle; a unit lapses."""

        def answered(sent: asyncio.Future[list[Any]]) -> None:
            if not sent.cancelled() and sent.exception() is None:
                self._learn(operation, sent.result()[0], now)
                return
            for key in marked:
                self._known.unmark(key, now)

        try:
            self._send([operation], now).add_done_callback(answered)
        except LedgerDown:
            for key in marked:
                self._known.unmark(key, now)

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
            raise LedgerDown from None

    def _learn(self, operation: Operation, told: Any, now: Instant) -> Answer:
        answer = from_wire(operation, told)
        known = self._known
        match operation:
            case Claim():
                if isinstance(answer, Claimed):
                    known.learn_names(operation, answer.refused, answer.known, now)
                    self.lately.claimed(operation, new_names(operation, told), answer.refused, now)
            case Admit(org=org, session=session, user=user):
                self.lately.saw(org)
                self._count(org, told[3])
                if told[0] == 1:
                    key = key_of(KeyKind.SESSION, org, session) if session else key_of(KeyKind.USER, org, user)
                    known.told(key, told[4], now)
                    known.holds_nothing(operation.token)
            case Mark() | Confirm():
                for key, left in zip(_keys(operation), told[1:], strict=True):
                    known.told(key, left, now)
        return answer

    def _count(self, org: str, used: int) -> None:
        if len(self._used) > 10_000:
            self._used.clear()
        self._used[org] = used


def _keys(operation: Mark | Confirm) -> list[int]:
    """The ids that it keeps under way, as they are known here; in the order of the script's answer."""
    org = operation.org
    sessions = (operation.session,) if isinstance(operation, Mark) else operation.sessions
    users = (operation.user,) if isinstance(operation, Mark) else operation.users
    keys = [key_of(KeyKind.SESSION, org, each) for each in sessions if each]
    return keys + [key_of(KeyKind.USER, org, each) for each in users if each]
