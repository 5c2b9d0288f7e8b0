"""The limits on calls, asked of the ledger: repeats first, then names, then rates (rules.md 2)."""

from __future__ import annotations

from collections.abc import Awaitable
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from fsproxy.core.client_api.inspection import Form, Inspection
from fsproxy.core.client_api.limiting import NO_SPENDING, Spending, limited_by, spends
from fsproxy.core.client_api.settling import CallsOutcome, LimitVerdict, NamesRefused, settle_calls
from fsproxy.core.limits.cardinality import event_property_claims, first_claims, refused_names
from fsproxy.core.limits.operations import Answer, Ledger, LedgerDown, Operation, Spent
from fsproxy.core.limits.page_clock import call_time, largest_when, page_offset
from fsproxy.core.model import Route
from fsproxy.shell.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fsproxy.core.facts import BundleQuery
    from fsproxy.core.model import Instant, SessionFacts
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.shell.cache import Repeats
    from fsproxy.shell.ledger.page_clocks import PageClocks

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

    async def settle(
        self, policy: OrgPolicy, facts: SessionFacts, upload: BundleQuery, inspection: Inspection, now: Instant
    ) -> Settled:
        """Settle every call. A ledger that is down limits nothing (``state.on_error``: capture goes on)."""
        until = monotonic() + self._deadline
        keys = self._keys(facts, inspection)
        repeated = await self._known(keys)
        try:
            outcome, limited = await self._ask(policy, facts, upload, inspection, repeated, now, until)
        except LedgerDown:
            return Settled(settle_calls(inspection, {}, (), policy.client_api, cap=policy.cap), ledger_down=True)
        fresh = [(key, _encode(outcome.calls[index].verdict)) for index, key in keys.items() if index not in repeated]
        await self._repeats.remember(fresh)
        return Settled(outcome, limited)

    def see(self, facts: SessionFacts, upload: BundleQuery, body: bytes, now: Instant) -> None:
        """Fix the page's clock at its first upload, also when no call is in it."""
        org = facts.org or ""
        if facts.page_id and self._clocks.known(org, facts.page_id) is None:
            offset = page_offset(now, upload.client_time, upload.page_start, largest_when(body))
            self._clocks.fix(org, facts.page_id, offset, now)

    async def _ask(
        self,
        policy: OrgPolicy,
        facts: SessionFacts,
        upload: BundleQuery,
        inspection: Inspection,
        repeated: Mapping[int, LimitVerdict],
        now: Instant,
        until: float,
    ) -> tuple[CallsOutcome, Spent | None]:
        settings, cap, org = policy.client_api, policy.cap, facts.org or ""
        names = inspection.names(repeated)
        session = _session(facts, inspection)
        # Before the claims: what is asked in one tick is one round trip.
        offset = self._offset(facts, upload, inspection, now, until) if session else None
        claims = first_claims(org, names, settings.cardinality, cap=cap)
        refused = refused_names(claims, await self._answers(claims, now, until))
        settled = settle_calls(inspection, refused, (), settings, cap=cap, repeats=repeated)
        spending = NO_SPENDING
        if session:
            fixed = await offset if isinstance(offset, Awaitable) else offset
            spending = spends(
                org, session, inspection, settled, repeated, lambda when: _time(fixed, when, now), settings, cap
            )
        more = event_property_claims(org, names, refused, settings.cardinality, cap=cap)
        if not more and not spending.operations:
            return settled, None
        answers = await self._answers((*more, *spending.operations), now, until)
        refused = refused_names(more, answers, refused)
        return self._final(policy, inspection, refused, spending, answers[len(more) :], repeated)

    def _final(
        self,
        policy: OrgPolicy,
        inspection: Inspection,
        refused: NamesRefused,
        spending: Spending,
        answers: tuple[Answer, ...],
        repeated: Mapping[int, LimitVerdict],
    ) -> tuple[CallsOutcome, Spent | None]:
        over, longest = limited_by(spending, answers)
        outcome = settle_calls(inspection, refused, over, policy.client_api, cap=policy.cap, repeats=repeated)
        return outcome, longest

    async def _answers(self, operations: tuple[Operation, ...], now: Instant, until: float) -> tuple[Answer, ...]:
        if not operations:
            return ()
        answers = self._ledger.try_now(operations, now)
        return answers if answers is not None else await self._ledger.ask(operations, now, until - monotonic())

    def _offset(
        self, facts: SessionFacts, upload: BundleQuery, inspection: Inspection, now: Instant, until: float
    ) -> float | Awaitable[float] | None:
        if inspection.form is not Form.BUNDLE:
            return None
        org = facts.org or ""
        known = self._clocks.known(org, facts.page_id)
        if known is not None:
            return known
        offset = page_offset(now, upload.client_time, upload.page_start, largest_when(inspection.body))
        return self._clocks.settle(org, facts.page_id, offset, now, until - monotonic())

    @staticmethod
    def _keys(facts: SessionFacts, inspection: Inspection) -> dict[int, bytes]:
        """What a repeat of each call would be known by: only calls of a page with an id can be told apart."""
        if inspection.form is not Form.BUNDLE or not facts.page_id:
            return {}
        page = blake2b(f"{facts.org}\0{facts.page_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return {index: page + each.digest for index, each in enumerate(inspection.calls) if each.digest is not None}

    async def _known(self, keys: Mapping[int, bytes]) -> dict[int, LimitVerdict]:
        found = await self._repeats.find(list(keys.values()))
        verdicts: dict[int, LimitVerdict] = {}
        for index, kept in zip(keys, found, strict=True):
            if kept is not None:
                try:
                    verdicts[index] = _decode(kept)
                except msgspec.MsgspecError:
                    # A newer version's entry in a shared store: as if it were not there.
                    continue
        return verdicts


def _time(offset: float | None, when: float | None, now: Instant) -> Instant:
    """A direct call was made when it arrived; an uploaded one by its page's own clock."""
    return now if offset is None else call_time(offset, when, now)


def _session(facts: SessionFacts, inspection: Inspection) -> str:
    """Whose rate it is: the session's, else the user's, else the address's. Server calls have none."""
    if inspection.route is Route.SERVER_API:
        return ""
    return facts.session_id or facts.user_id or (str(facts.client_ip) if facts.client_ip is not None else "")
