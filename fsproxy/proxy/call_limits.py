"""The limits on a body's calls: repeats first, then names, then rates (rules.md 2)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from hashlib import blake2b
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from fsproxy.clock import monotonic
from fsproxy.core.client_api.inspected import BUNDLE, MANY, Inspection
from fsproxy.core.client_api.outcome import CallsOutcome, decide_calls
from fsproxy.core.client_api.verdicts import PASSED, LimitVerdict
from fsproxy.core.limits.operations import Ledger, LedgerDownError, Move
from fsproxy.core.limits.page_clock import (
    CallClock,
    call_clock,
    largest_of,
    last_when,
    page_offset,
)
from fsproxy.core.model import Instant
from fsproxy.proxy.limit_queries import LimitedCalls, LimitQueries, session_of
from fsproxy.proxy.off_loop import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fsproxy.core.model import SessionFacts
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.core.wire.facts import BundleQuery
    from fsproxy.state.memory.page_clocks import PageClocks
    from fsproxy.state.repeats import Repeats

    _Clock = CallClock | Callable[[], Awaitable[CallClock]]

SLICE = 100
"""Verdicts that are looked up or remembered at a time, of many."""

_when_of = attrgetter("when")
_encode = msgspec.msgpack.Encoder().encode
_PASSED = _encode(PASSED)
_decode = msgspec.msgpack.Decoder(LimitVerdict).decode


class CallLimits:
    """Decides, in at most two round trips, what the limits mean for a body's calls.

    ``deadline`` is for all of a body's waiting together, in seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        repeats: Repeats,
        clocks: PageClocks,
        deadline: float,
        others: CallLimits | None = None,
    ) -> None:
        """``others``: uploads of one page wait for each other, and also for those that ``others`` decides."""
        self._ledger = ledger
        self._queries = LimitQueries(ledger, deadline)
        self._repeats = repeats
        self._clocks = clocks
        self._deadline = deadline
        self.under_way: dict[tuple[str, str], asyncio.Event | None] = others.under_way if others is not None else {}
        """The pages with an upload that is being decided; with an event if another upload waits for it."""

    async def decide(
        self,
        policy: OrgPolicy,
        facts: SessionFacts,
        upload: BundleQuery,
        inspection: Inspection,
        now: Instant,
    ) -> LimitedCalls:
        """Decide every call. A ledger that is down limits nothing (``state.on_error``: capture goes on)."""
        org, session = facts.org or "", session_of(facts) if policy.counts_rates else ""
        try:
            if inspection.form is BUNDLE and facts.page_id:
                return await self._decide_in_turn(policy, facts, session, upload, inspection, now)
            # Such calls have no repeats, and no clock that outlives the body.
            clock: _Clock = CallClock(now)
            if inspection.form is BUNDLE:
                clock = self._clock(org, session, "", upload, inspection, now)
            until = monotonic() + self._deadline
            return await self._queries.ask(policy, org, session, "", inspection, {}, clock, now, until)
        except LedgerDownError:
            large, api = inspection.has_many_names, policy.client_api
            outcome = await run(large, decide_calls, inspection, {}, (), api)
            return LimitedCalls(outcome, ledger_down=True)

    async def _decide_in_turn(
        self,
        policy: OrgPolicy,
        facts: SessionFacts,
        session: str,
        upload: BundleQuery,
        inspection: Inspection,
        now: Instant,
    ) -> LimitedCalls:
        """Decide the uploads of one page one after another, so that a copy finds what became of the first."""
        org, page_id = page = facts.org or "", facts.page_id
        while page in self.under_way:
            other = self.under_way[page]
            if other is None:
                other = self.under_way[page] = asyncio.Event()
            await other.wait()
        self.under_way[page] = None
        try:
            until, large = monotonic() + self._deadline, len(inspection.calls) > MANY
            keys = await asyncio.to_thread(_keys, facts, inspection) if large else _keys(facts, inspection)
            repeated = await self._known(org, keys)
            # The clock before the claims: what is asked in one turn of the loop is one round trip.
            clock = self._clock(org, session, page_id, upload, inspection, now)
            limited = await self._queries.ask(policy, org, session, page_id, inspection, repeated, clock, now, until)
            copies = (keys, limited.outcome, repeated)
            first = await asyncio.to_thread(_first_copies, *copies) if large else _first_copies(*copies)
            for start in range(0, len(first), SLICE):
                await self._repeats.remember(org, first[start : start + SLICE])
                if large:
                    await asyncio.sleep(0)
            return limited
        finally:
            done = self.under_way.pop(page)
            if done is not None:
                done.set()

    # -- clocks: when the calls of a page were made

    async def observe_clock(
        self, facts: SessionFacts, upload: BundleQuery, inspection: Inspection, now: Instant
    ) -> None:
        """Fix or move the page's clock by an upload without calls; what was counted moves with it."""
        org, page = facts.org or "", facts.page_id
        largest = last_when(inspection.body) if page and inspection.form is BUNDLE else None
        if largest is None:
            return
        known, latest = self._clocks.find(org, page), now - largest / 1000
        first = page_offset(now, upload.client_time, upload.page_start, largest)
        clock, session = self._clocks.fix(org, page, first, latest, now), session_of(facts)
        if known is not None and clock.offset < known.offset and session:
            with suppress(LedgerDownError):
                await self._ledger.ask((Move(org, session, page, Instant(clock.offset)),), now)

    def _clock(
        self, org: str, session: str, page: str, upload: BundleQuery, inspection: Inspection, now: Instant
    ) -> _Clock:
        """Fix or move the page's clock by an upload. Return how its calls are dated, or what to await for that."""
        largest = largest_of(map(_when_of, inspection.calls), last_when(inspection.body)) if session else None
        if largest is None:
            return CallClock(now)
        latest = now - largest / 1000
        first = page_offset(now, upload.client_time, upload.page_start, largest)
        if not page:
            return CallClock(now, first)
        fixed = self._clocks.fix(org, page, first, latest, now)
        asked = self._clocks.asked(org, page)
        if asked is None:
            return call_clock(page, fixed, latest, now)

        async def dated() -> CallClock:
            await asyncio.wait([asked])
            return call_clock(page, self._clocks.find(org, page) or fixed, latest, now)

        return dated

    # -- repeats

    async def _known(self, org: str, keys: Mapping[int, bytes]) -> dict[int, LimitVerdict]:
        wanted = list(keys.values())
        found = await self._repeats.find(org, wanted[:SLICE])
        for start in range(SLICE, len(wanted), SLICE):
            await asyncio.sleep(0)
            found += await self._repeats.find(org, wanted[start : start + SLICE])
        verdicts: dict[int, LimitVerdict] = {}
        if not any(found):
            return verdicts
        for index, kept in zip(keys, found, strict=True):
            if kept is not None:
                try:
                    verdicts[index] = _decode(kept)
                except msgspec.MsgspecError:
                    # A newer version's entry in a shared store: it counts as missing.
                    continue
        return verdicts


def _keys(facts: SessionFacts, inspection: Inspection) -> dict[int, bytes]:
    """Return what a repeat of each call is known by, on whatever route it comes: the page and the call's digest."""
    page = blake2b(f"{facts.org}\0{facts.page_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return {index: page + each.digest for index, each in enumerate(inspection.calls) if each.digest is not None}


def _first_copies(
    keys: Mapping[int, bytes], outcome: CallsOutcome, repeated: Mapping[int, LimitVerdict]
) -> list[tuple[bytes, bytes]]:
    """Return the verdicts on calls that are no repeats, as they are remembered."""
    if outcome.is_clean and not repeated:
        return [(key, _PASSED) for key in keys.values()]
    return [(key, _encode(outcome.calls[index].verdict)) for index, key in keys.items() if index not in repeated]
