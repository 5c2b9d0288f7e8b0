"""The limits on calls, asked of the ledger: repeats first, then names, then rates (rules.md 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import msgspec

from fsproxy.core.client_api.inspection import Form, Inspection
from fsproxy.core.client_api.limiting import NO_SPENDING, limited_by, spends
from fsproxy.core.client_api.settling import CallsOutcome, LimitVerdict, settle_calls
from fsproxy.core.limits.cardinality import event_property_claims, first_claims, refused_names
from fsproxy.core.limits.operations import Ledger, LedgerDown, Spent
from fsproxy.core.limits.page_clock import call_time, page_offset
from fsproxy.core.model import Route
from fsproxy.shell.clock import monotonic
from fsproxy.shell.ledger.slices import ask_in_slices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fsproxy.core.facts import BundleQuery
    from fsproxy.core.model import Instant, SessionFacts
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.shell.cache import Repeats
    from fsproxy.shell.ledger.page_clocks import PageClocks

SLICE = 200
"""Verdicts that are looked up or remembered at a time, of many."""

_P = ParamSpec("_P")
_T = TypeVar("_T")
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
        if not facts.page_id:
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
        off = inspection.is_large
        keys = await _run(off, _keys, facts, inspection)
        repeated = await self._known(keys)
        try:
            outcome, limited = await self._ask(policy, facts, upload, inspection, last, repeated, now, until)
        except LedgerDown:
            settled = await _run(off, settle_calls, inspection, {}, (), policy.client_api, cap=policy.cap)
            return Settled(settled, ledger_down=True)
        fresh = await _run(off, _fresh, keys, outcome, repeated)
        for start in range(0, len(fresh), SLICE):
            await self._repeats.remember(fresh[start : start + SLICE])
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

    async def _ask(
        self,
        policy: OrgPolicy,
        facts: SessionFacts,
        upload: BundleQuery,
        inspection: Inspection,
        last: float | None,
        repeated: Mapping[int, LimitVerdict],
        now: Instant,
        until: float,
    ) -> tuple[CallsOutcome, Spent | None]:
        settings, cap, org = policy.client_api, policy.cap, facts.org or ""
        off = inspection.is_large
        settled_names = {index for index, verdict in repeated.items() if not verdict.names_anew}
        names = await _run(off, inspection.names, settled_names)
        session = _session(facts, inspection)
        # Before the claims: what is asked in one tick is one round trip.
        offset = self._offset(facts, upload, inspection, last, now) if session else None
        claims = first_claims(org, names, settings.cardinality, cap=cap)
        refused = refused_names(claims, await ask_in_slices(self._ledger, claims, now, self._left(until, off=off)))
        settle = partial(settle_calls, inspection, settings=settings, cap=cap, repeats=repeated)
        settled = await _run(off, settle, refused, ())
        spending = NO_SPENDING
        if session:
            time_of = partial(_time, await offset if isinstance(offset, Awaitable) else offset, now)
            spending = await _run(off, spends, org, session, inspection, settled, repeated, time_of, settings, cap)
        more = event_property_claims(org, names, refused, settings.cardinality, cap=cap)
        if not more and not spending.operations:
            return settled, None
        answers = await ask_in_slices(self._ledger, (*more, *spending.operations), now, self._left(until, off=off))
        refused = refused_names(more, answers, refused)
        over, longest = limited_by(spending, answers[len(more) :])
        if not over and not refused:
            return settled, longest
        return await _run(off, settle, refused, over), longest

    def _left(self, until: float, *, off: bool) -> float:
        """Seconds left to wait. Of a large body, whose own work takes long, each question has the whole time."""
        return self._deadline if off else until - monotonic()

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


async def _run(off: bool, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:  # noqa: FBT001 - decided once a body
    """Do pure work, off the event loop when it is much."""
    if off:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)


def _keys(facts: SessionFacts, inspection: Inspection) -> dict[int, bytes]:
    """What a repeat of each call would be known by: only calls of a page with an id can be told apart."""
    if inspection.form is not Form.BUNDLE or not facts.page_id:
        return {}
    page = blake2b(f"{facts.org}\0{facts.page_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return {index: page + each.digest for index, each in enumerate(inspection.calls) if each.digest is not None}


def _fresh(
    keys: Mapping[int, bytes], outcome: CallsOutcome, repeated: Mapping[int, LimitVerdict]
) -> list[tuple[bytes, bytes]]:
    """The verdicts on first copies, as they are remembered."""
    return [
        (key, _encode(outcome.calls[index].verdict.brief())) for index, key in keys.items() if index not in repeated
    ]


def _time(offset: float | None, now: Instant, when: float | None) -> Instant:
    """A direct call was made when it arrived; an uploaded one by its page's own clock."""
    return now if offset is None else call_time(offset, when, now)


def _session(facts: SessionFacts, inspection: Inspection) -> str:
    """Whose rate it is: the session's, else the user's, else the address's. Server calls have none."""
    if inspection.route is Route.SERVER_API:
        return ""
    return facts.session_id or facts.user_id or (str(facts.client_ip) if facts.client_ip is not None else "")
