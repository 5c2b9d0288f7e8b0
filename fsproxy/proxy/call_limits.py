"""The limits on calls, asked of the ledger: repeats first, then names, then rates (rules.md 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from fsproxy.clock import monotonic
from fsproxy.core.client_api.inspected import Form, Inspection
from fsproxy.core.client_api.outcome import CallsOutcome, decide_calls
from fsproxy.core.client_api.verdicts import LimitVerdict
from fsproxy.core.limits.operations import Ledger, LedgerDownError, Move, Spent
from fsproxy.core.limits.page_clock import CallClock, call_clock, largest_of, last_when, moved_back, page_offset
from fsproxy.core.model import Instant
from fsproxy.proxy.limit_queries import LimitQueries, run, session_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fsproxy.core.limits.page_clock import PageClock
    from fsproxy.core.model import SessionFacts
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.core.wire.facts import BundleQuery
    from fsproxy.state.cache import Repeats
    from fsproxy.state.memory.page_clocks import PageClocks

SLICE = 100
"""Verdicts that are looked up or remembered at a time, of many."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(LimitVerdict).decode


class Settled(msgspec.Struct, frozen=True, gc=False):
    """What became of a body's calls."""

    outcome: CallsOutcome
    limited: Spent | None = None
    """The rate's answer with the longest wait, where a call was over it."""
    ledger_down: bool = False


class CallLimits:
    """Asks, in at most two round trips, what the limits say of a body's calls.

    ``deadline`` is for all of a body's waiting together, in seconds.
    """

    def __init__(self, ledger: Ledger, repeats: Repeats, clocks: PageClocks, deadline: float) -> None:
        self._ledger = ledger
        self._questions = LimitQueries(ledger, deadline)
        self._repeats = repeats
        self._clocks = clocks
        self._deadline = deadline
        self._under_way: dict[tuple[str, str], asyncio.Event] = {}

    async def settle(
        self,
        policy: OrgPolicy,
        facts: SessionFacts,
        upload: BundleQuery,
        inspection: Inspection,
        now: Instant,
    ) -> Settled:
        """Settle every call. A ledger that is down limits nothing (``state.on_error``: capture goes on).

        Uploads of one page are settled one after another: a copy finds what became of the first.
        """
        if inspection.form is not Form.BUNDLE or not facts.page_id:
            settled = self.settle_now(policy, facts, inspection, now)
            if settled is not None:
                return settled
            return await self._settle(policy, facts, upload, inspection, now)
        page = (facts.org or "", facts.page_id)
        while (other := self._under_way.get(page)) is not None:
            await other.wait()
        done = self._under_way[page] = asyncio.Event()
        try:
            return await self._settle(policy, facts, upload, inspection, now)
        finally:
            del self._under_way[page]
            done.set()

    def settle_now(
        self, policy: OrgPolicy, facts: SessionFacts, inspection: Inspection, now: Instant
    ) -> Settled | None:
        """Settle calls that came by themselves, and so have neither a clock of their own nor repeats.

        None: a bundle, much work, or a ledger that must be waited for: it is for ``settle``, nothing was spent.
        """
        if inspection.form is Form.BUNDLE:
            return None
        asked = self._questions.ask_now(policy, facts, inspection, {}, CallClock(now))
        return None if asked is None else Settled(*asked)

    async def _settle(
        self,
        policy: OrgPolicy,
        facts: SessionFacts,
        upload: BundleQuery,
        inspection: Inspection,
        now: Instant,
    ) -> Settled:
        until = monotonic() + self._deadline
        off = inspection.has_many_names
        keys = await run(off, _keys, facts, inspection)
        repeated = await self._known(keys)
        session = session_of(facts)
        # Before the claims: what is asked in one tick is one round trip.
        clock = self._clock(facts, upload, inspection, now) if session else CallClock(now)
        try:
            asked = None
            if not isinstance(clock, Awaitable):
                asked = self._questions.ask_now(policy, facts, inspection, repeated, clock)
            if asked is None:
                asked = await self._questions.ask(policy, facts, inspection, repeated, clock, now, until)
            outcome, limited = asked
        except LedgerDownError:
            settled = await run(off, decide_calls, inspection, {}, (), policy.client_api, cap=policy.cap)
            return Settled(settled, ledger_down=True)
        first = await run(off, _first_copies, keys, outcome, repeated)
        for start in range(0, len(first), SLICE):
            await self._repeats.remember(facts.org or "", first[start : start + SLICE])
            if off:
                await asyncio.sleep(0)
        return Settled(outcome, limited)

    def see(self, facts: SessionFacts, upload: BundleQuery, inspection: Inspection, now: Instant) -> None:
        """Fix or move the page's clock by an upload without calls; what was counted moves with it."""
        org, page = facts.org or "", facts.page_id
        largest = _largest_when(inspection) if page else None
        if largest is None:
            return
        latest = now - largest / 1000
        known = self._clocks.find(org, page)
        if known is not None and moved_back(known, latest) is known:
            self._clocks.renew(org, page, now)
            return
        first = page_offset(now, upload.client_time, upload.page_start, largest)
        clock = self._clocks.fix(org, page, first, latest, now)
        session = session_of(facts)
        if known is not None and session:
            self._ledger.try_now((Move(org, session, page, Instant(clock.offset)),), now)

    def _clock(
        self, facts: SessionFacts, upload: BundleQuery, inspection: Inspection, now: Instant
    ) -> CallClock | Awaitable[CallClock]:
        """How the calls of an upload are dated: by the page's clock, which this upload may fix or move."""
        largest = _largest_when(inspection)
        if largest is None:
            return CallClock(now)
        org, page, latest = facts.org or "", facts.page_id, now - largest / 1000
        first = page_offset(now, upload.client_time, upload.page_start, largest)
        if not page:
            return CallClock(now, first)
        known = self._clocks.find(org, page)
        if known is not None and moved_back(known, latest) is known:
            self._clocks.renew(org, page, now)
            return call_clock(page, known, latest, now)
        clock = self._clocks.resolve(org, page, first, latest, now, self._deadline)
        if isinstance(clock, Awaitable):
            return asyncio.ensure_future(_dated(page, clock, latest, now))
        return call_clock(page, clock, latest, now)

    async def _known(self, keys: Mapping[int, bytes]) -> dict[int, LimitVerdict]:
        wanted = list(keys.values())
        found = await self._repeats.find(wanted[:SLICE])
        for start in range(SLICE, len(wanted), SLICE):
            await asyncio.sleep(0)
            found += await self._repeats.find(wanted[start : start + SLICE])
        verdicts: dict[int, LimitVerdict] = {}
        for index, kept in zip(keys, found, strict=True):
            if kept is not None:
                try:
                    verdicts[index] = _decode(kept)
                except msgspec.MsgspecError:
                    # A newer version's entry in a shared store: as if it were not there.
                    continue
        return verdicts


def _largest_when(inspection: Inspection) -> float | None:
    if inspection.form is not Form.BUNDLE:
        return None
    return largest_of((each.when for each in inspection.calls), last_when(inspection.body))


async def _dated(page: str, clock: Awaitable[PageClock], latest: float, now: Instant) -> CallClock:
    return call_clock(page, await clock, latest, now)


def _keys(facts: SessionFacts, inspection: Inspection) -> dict[int, bytes]:
    """What a repeat of each call would be known by: only calls of a page with an id can be told apart."""
    if inspection.form is not Form.BUNDLE or not facts.page_id:
        return {}
    page = blake2b(f"{facts.org}\0{facts.page_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return {index: page + each.digest for index, each in enumerate(inspection.calls) if each.digest is not None}


def _first_copies(
    keys: Mapping[int, bytes], outcome: CallsOutcome, repeated: Mapping[int, LimitVerdict]
) -> list[tuple[bytes, bytes]]:
    """The verdicts on first copies, as they are remembered."""
    return [(key, _encode(outcome.calls[index].verdict)) for index, key in keys.items() if index not in repeated]
