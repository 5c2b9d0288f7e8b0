"""The limits on calls, asked of the ledger: repeats first, then names, then rates (rules.md 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from fsproxy.core.client_api.inspection import Form, Inspection
from fsproxy.core.client_api.settling import CallsOutcome, LimitVerdict, settle_calls
from fsproxy.core.limits.operations import Ledger, LedgerDown, Spent
from fsproxy.core.limits.page_clock import page_offset
from fsproxy.shell.call_questions import CallQuestions, run, session_of
from fsproxy.shell.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fsproxy.core.facts import BundleQuery
    from fsproxy.core.model import Instant, SessionFacts
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.shell.cache import Repeats
    from fsproxy.shell.ledger.page_clocks import PageClocks

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
        self._questions = CallQuestions(ledger, deadline)
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
        last: float | None,
        now: Instant,
    ) -> Settled:
        """Settle every call. A ledger that is down limits nothing (``state.on_error``: capture goes on).

        ``last`` is the largest ``When`` of the upload, for ``page_clock``; it matters while the page has no clock.
        Uploads of one page are settled one after another: a copy finds what became of the first.
        """
        if inspection.form is not Form.BUNDLE or not facts.page_id:
            settled = self.settle_now(policy, facts, inspection, now)
            if settled is not None:
                return settled
            return await self._settle(policy, facts, upload, inspection, last, now)
        page = (facts.org or "", facts.page_id)
        while (other := self._under_way.get(page)) is not None:
            await other.wait()
        done = self._under_way[page] = asyncio.Event()
        try:
            return await self._settle(policy, facts, upload, inspection, last, now)
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
        asked = self._questions.ask_now(policy, facts, inspection, {}, None, now)
        return None if asked is None else Settled(*asked)

    async def _settle(
        self,
        policy: OrgPolicy,
        facts: SessionFacts,
        upload: BundleQuery,
        inspection: Inspection,
        last: float | None,
        now: Instant,
    ) -> Settled:
        until = monotonic() + self._deadline
        off = inspection.has_many_names
        keys = await run(off, _keys, facts, inspection)
        repeated = await self._known(keys)
        session = session_of(facts, inspection)
        # Before the claims: what is asked in one tick is one round trip.
        offset = self._offset(facts, upload, inspection, last, now) if session else None
        try:
            asked = None
            if not isinstance(offset, Awaitable):
                asked = self._questions.ask_now(policy, facts, inspection, repeated, offset, now)
            if asked is None:
                asked = await self._questions.ask(policy, facts, inspection, repeated, offset, now, until)
            outcome, limited = asked
        except LedgerDown:
            settled = await run(off, settle_calls, inspection, {}, (), policy.client_api, cap=policy.cap)
            return Settled(settled, ledger_down=True)
        first = await run(off, _first_copies, keys, outcome, repeated)
        for start in range(0, len(first), SLICE):
            await self._repeats.remember(facts.org or "", first[start : start + SLICE])
            if off:
                await asyncio.sleep(0)
        return Settled(outcome, limited)

    def needs_clock(self, facts: SessionFacts) -> bool:
        """Whether this is the first upload of its page: its largest ``When`` is worth looking for."""
        return bool(facts.page_id) and self._clocks.known(facts.org or "", facts.page_id) is None

    def see(self, facts: SessionFacts, upload: BundleQuery, last: float | None, now: Instant) -> None:
        """Fix the page's clock at its first upload, also when no call is in it."""
        if self.needs_clock(facts):
            offset = page_offset(now, upload.client_time, upload.page_start, last)
            self._clocks.fix(facts.org or "", facts.page_id, offset, now)

    def _offset(
        self, facts: SessionFacts, upload: BundleQuery, inspection: Inspection, last: float | None, now: Instant
    ) -> float | Awaitable[float] | None:
        if inspection.form is not Form.BUNDLE:
            return None
        org = facts.org or ""
        known = self._clocks.known(org, facts.page_id)
        if known is not None:
            return known
        offset = page_offset(now, upload.client_time, upload.page_start, last)
        return self._clocks.settle(org, facts.page_id, offset, now, self._deadline)

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
    return [
        (key, _encode(outcome.calls[index].verdict.brief())) for index, key in keys.items() if index not in repeated
    ]
