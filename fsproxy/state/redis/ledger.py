"""The ledger's form in Redis or Valkey: exact over any number of processes and machines (rules.md 5).

Time is the server's. Of the caller's only distances matter, so that clocks need not agree. A call's time is moved onto
the server's clock by an estimate of how far the two are apart (half a round trip's doubt at most).
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any, cast

import msgspec

from fsproxy.clock import now as wall_clock
from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
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
from fsproxy.state.redis.connections.breaker import Breaker
from fsproxy.state.redis.connections.links import make_links
from fsproxy.state.redis.local_answers import UNKNOWN, UNTOLD, LocalAnswers
from fsproxy.state.redis.recent_grants import RecentGrants
from fsproxy.state.redis.script import PAGE_NAME_SECONDS
from fsproxy.state.redis.servers.nodes import Nodes
from fsproxy.state.redis.servers.server import Server
from fsproxy.state.redis.undelivered import Undelivered
from fsproxy.state.redis.wire import from_wire, look_to_wire, new_names, org_base, to_wire
from fsproxy.state.redis.write_limits import ID_WRITES, PAGE_NAME_WRITES, NewPages, WriteRate
from fsproxy.state.run_time_lists import KeptLists


class RedisLedger:
    """See ``Ledger``. What this process knows is answered here (``local_answers``).

    What has no answer (Mark, Confirm, Release, Move) is sent behind, in order, and no request waits for it, unless it
    is asked together with what Redis must answer, or the store is down, which the caller must know. For tests,
    ``callers_clock`` uses the caller's time instead of the server's.
    """

    def __init__(
        self,
        store: Server | Nodes,
        prefix: str,
        timeout: float,
        breaker: Breaker | None = None,
        *,
        callers_clock: bool = False,
    ) -> None:
        """``store``: one server, whose breaker may be given, or the nodes of a Cluster."""
        self._prefix, self._timeout, self._callers_clock = prefix, timeout, callers_clock
        self._local, self._grants = LocalAnswers(), RecentGrants()
        self.recent_names, self.lists = RecentNames(), KeptLists()
        self.named_listed_user = False
        """A session has got a uid of a list, which other processes must hear of at once (``shared_lists``)."""
        self.new_names = self._local.new_names
        self.id_rate = WriteRate("sessions", *ID_WRITES)
        self.page_name_rate = NewPages("page_names", *PAGE_NAME_WRITES, PAGE_NAME_SECONDS)
        self.links = make_links(store, prefix, timeout, breaker, self._on_connect)
        self._undelivered = Undelivered(self._tell, self.is_down)
        self.start = self.links.start  # a server that is not there keeps no program from starting

    async def close(self) -> None:
        """Close the connections. For what still waits, the store is down."""
        self._undelivered.close()
        await self.links.close()

    # -- the contract

    async def ask(self, operations: tuple[Operation, ...], now: Instant, deadline: float = inf) -> tuple[Answer, ...]:
        """Answer from what is known here, else in one round trip with all that others ask in the same tick.

        Raises LedgerDownError.
        """
        local = self._local
        answers: list[Any] = [local.answer(each, now) for each in operations]
        behind = UNTOLD in answers and UNKNOWN not in answers and not self.is_down(operations[0].org)
        asked: list[Operation] = []
        for operation, answer in zip(operations, answers, strict=True):
            if isinstance(operation, Mark) and operation.listed:
                self.named_listed_user = True
            if answer is UNKNOWN or (answer is UNTOLD and not behind):
                asked.append(operation if type(operation) is not Claim else self._bounded(operation))
            elif answer is UNTOLD:
                self._tell(operation, now)
        if not asked:
            return tuple([None if each is UNTOLD else each for each in answers])
        try:
            raw = iter(await self._within(self._send(asked, now), deadline))
        except LedgerDownError:
            for operation in asked:
                self._undelivered.keep(operation, now)
            raise
        learn = self._learn
        return tuple(
            [
                learn(operation, next(raw), now) if answer is UNKNOWN or answer is UNTOLD else answer
                for operation, answer in zip(operations, answers, strict=True)
            ]
        )

    async def look(self, operations: tuple[Operation, ...], now: Instant, deadline: float = inf) -> tuple[Answer, ...]:
        """Return what ``ask`` would answer, in one round trip, and change nothing. Raises LedgerDownError."""
        if not operations:
            return ()
        local, org = self._local, operations[0].org
        skew = self.skew(org)
        answers = [
            None if isinstance(each, Confirm | Release | Mark | Move) else local.answer(each, now)
            for each in operations
        ]
        asked = [
            look_to_wire(each, skew) for each, answer in zip(operations, answers, strict=True) if answer is UNKNOWN
        ]
        if not asked:
            return tuple(answers)
        raw = iter(await self._within(self._ask(org, asked, now), deadline))
        return tuple(
            [
                from_wire(each, next(raw)) if answer is UNKNOWN else answer
                for each, answer in zip(operations, answers, strict=True)
            ]
        )

    def forget(self) -> None:
        """Ask anew for everything that the store may have lost."""
        self._local.forget()

    def forget_uids(self) -> None:
        """Ask anew for the uids of sessions: a list of users has changed, and other processes may know them."""
        self._local.sessions.forget_uids()

    # -- for the admin's views

    async def org_usage(self, org: str) -> tuple[dict[str, int], dict[NameKind, int]]:
        """Return the units used and reserved by cycle, and how many names are known by kind. Raises LedgerDownError."""
        asked: list[list[Any]] = [["quota_usage"], ["names_usage", [kind.value for kind in NameKind]]]
        pairs, counts = await self.send(org, *asked)
        return dict(zip(pairs[1::2], map(int, pairs[2::2]), strict=True)), dict(zip(NameKind, counts, strict=True))

    def recent_orgs(self, most: int) -> list[str]:
        """Return at most so many orgs of which this process has asked, the last one first."""
        return self.recent_names.orgs(most)

    # -- for what processes share beside the limits: pages' clocks and blocked pages

    def send(self, org: str, *questions: list[Any]) -> asyncio.Future[list[Any]]:
        """Send operations of the script, with all that is asked in this tick. Raises LedgerDownError.

        The future holds their answers in a list.
        """
        return self._ask(org, list(questions))

    def is_down(self, org: str) -> bool:
        """Return whether the server that keeps the org's limits must not be asked."""
        return self.links.of(org).breaker.is_open

    def skew(self, org: str) -> float:
        """Return how far the clock of the org's server is ahead of ours, in seconds."""
        return 0.0 if self._callers_clock else self.links.of(org).skew or 0.0

    # -- within

    def _on_connect(self) -> None:
        """Note that the server may be another one."""
        self.forget()
        self._undelivered.keep_first(self._grants.again(), wall_clock())

    def _tell(self, operation: Operation, now: Instant) -> None:
        """Send behind what Redis must learn, for which no request waits. It is known here from now on.

        Should it not arrive, the next bundle sends the ids that it marks once more; see also ``Undelivered``.
        """
        local, marked = self._local, []
        if isinstance(operation, Mark):
            marked = local.keys_to_mark(operation, now)
            unknown = sum(not local.sessions.is_known(key) for key in marked)
            # Over the rate, a session is marked by its next bundle. A uid is never held back.
            if not operation.uid and self.id_rate.take(operation.org, unknown) < unknown:
                return
            for key in marked:
                local.sessions.mark(key, now)
        if isinstance(operation, Mark | Confirm):
            local.learn_uid(operation, now)

        def answered(sent: asyncio.Future[list[Any]] | None) -> None:
            if sent is not None and not sent.cancelled() and sent.exception() is None:
                self._learn(operation, sent.result()[0], now)
                return
            self._undelivered.keep(operation, now)
            for key in marked:
                local.sessions.unmark(key, now)

        try:
            self._send([operation], now).add_done_callback(answered)
        except LedgerDownError:
            answered(None)

    def _bounded(self, claim: Claim) -> Claim:
        """Return the claim, without its page if too many pages are new: clients choose their ids."""
        if not claim.page or self.page_name_rate.take_page(claim.org, claim.page):
            return claim
        return msgspec.structs.replace(claim, page="")

    def _send(self, operations: list[Operation], now: Instant) -> asyncio.Future[list[Any]]:
        org = operations[0].org
        if org in self._undelivered and not self.is_down(org):
            self._undelivered.deliver(org)
        skew = self.skew(org)
        return self._ask(org, [to_wire(each, skew) for each in operations], now)

    def _ask(self, org: str, questions: list[Any], now: Instant | None = None) -> asyncio.Future[list[Any]]:
        return self.links.of(org).ask(org_base(self._prefix, org), questions, now if self._callers_clock else None)

    async def _within(self, sent: asyncio.Future[list[Any]], deadline: float) -> list[Any]:
        if deadline >= self._timeout:
            # The link's own limit holds, so no request needs a timer.
            return await sent
        try:
            async with asyncio.timeout(max(deadline, 0.0)):
                return await sent
        except TimeoutError:
            raise LedgerDownError from None

    def _learn(self, operation: Operation, raw: Any, now: Instant) -> Answer:
        """Return the script's answer as the contract has it, and keep what follows from it."""
        answer = from_wire(operation, raw)
        self._local.learn(operation, answer, raw, now)
        if isinstance(operation, Claim) and isinstance(answer, Claimed):
            new = new_names(operation, raw)
            self.new_names.learn(operation.org, len(new), float(raw[1]))
            self.recent_names.record(operation, new, answer.refused, now)
        elif isinstance(operation, Admit):
            self.recent_names.touch(operation.org)
            self._grants.note(operation, cast("Admitted", answer), now)
        elif isinstance(operation, Confirm | Release):
            self._grants.end(operation)
        return answer
