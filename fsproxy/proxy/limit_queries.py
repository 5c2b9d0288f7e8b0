"""Asks the ledger about a body's calls: names first, then rates and the properties of events (rules.md 2)."""

from __future__ import annotations

from asyncio import to_thread
from typing import TYPE_CHECKING

import msgspec

from fsproxy.clock import monotonic
from fsproxy.core.client_api.inspected import MANY
from fsproxy.core.client_api.inspection import inspect_anew
from fsproxy.core.client_api.limiting import NO_SPENDING, limited_by, spends
from fsproxy.core.client_api.outcome import decide_calls
from fsproxy.core.limits.cardinality import NO_NAMES, event_property_claims, first_claims, refused_names
from fsproxy.core.limits.page_clock import CallClock
from fsproxy.core.model import SERVER_API
from fsproxy.proxy.recent_claims import RecentClaims

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fsproxy.core.client_api.inspected import Inspection
    from fsproxy.core.client_api.outcome import CallsOutcome
    from fsproxy.core.client_api.verdicts import LimitVerdict
    from fsproxy.core.limits.operations import Claim, Ledger, Operation, Spent
    from fsproxy.core.model import Instant, SessionFacts
    from fsproxy.core.policy import OrgPolicy


class LimitedCalls(msgspec.Struct, frozen=True, gc=False):
    """What became of a body's calls."""

    outcome: CallsOutcome
    longest: Spent | None = None
    """The rate's answer with the longest wait, where a call was over it."""
    ledger_down: bool = False


class LimitQueries:
    """Decides the calls of one body after another. ``deadline``: seconds for all of a body's waiting together."""

    def __init__(self, ledger: Ledger, deadline: float) -> None:
        self._ledger = ledger
        self._deadline = deadline
        self._recent = RecentClaims()

    async def ask(
        self,
        policy: OrgPolicy,
        org: str,
        session: str,
        page: str,
        inspection: Inspection,
        repeated: Mapping[int, LimitVerdict],
        clock: CallClock | Callable[[], Awaitable[CallClock]],
        now: Instant,
        until: float,
    ) -> LimitedCalls:
        """Return what becomes of each call. Ask the ledger twice at most, and wait for it until ``until``.

        ``session``: whose rate counts; ``page``: what has limits of its own; "" for none. ``clock`` dates the calls; a
        shared one is awaited after the first question: what both ask is one round trip. Raises LedgerDownError.
        """
        api, found = policy.client_api, inspection
        large = len(inspection.calls) > MANY
        which, not_among = (org, inspection, repeated, api.cardinality, now), self._recent.not_among
        claiming = await to_thread(not_among, *which) if large else not_among(*which)
        if not claiming and not repeated and not session:
            decided = (inspection, NO_NAMES, (), api)
            return LimitedCalls(await to_thread(decide_calls, *decided) if large else decide_calls(*decided))
        names = refused = NO_NAMES
        claims: tuple[Claim, ...] = ()
        if claiming or repeated:
            # Names are claimed and rejected in the order of the text, which is not known of a learned event.
            large = large or inspection.has_many_names
            inspection = await to_thread(inspect_anew, api, inspection) if large else inspect_anew(api, inspection)
        if claiming:
            names = await to_thread(inspection.names, claiming) if large else inspection.names(claiming)
            claims = first_claims(org, page, names, api.cardinality)
        if claims:
            # A large body's own work takes long, so each question has the whole time.
            left = self._deadline if large else until - monotonic()
            refused = refused_names(claims, await self._ledger.ask(claims, now, left))
        if not isinstance(clock, CallClock):
            clock = await clock()
        so_far = (inspection, refused, (), api, repeated)
        outcome = await to_thread(decide_calls, *so_far) if large else decide_calls(*so_far)
        spending = NO_SPENDING
        if session:
            spent_on = (org, session, inspection, outcome, repeated, clock, api.rate, page)
            spending = await to_thread(spends, *spent_on) if large else spends(*spent_on)
        more = event_property_claims(org, names, refused, api.cardinality) if names else ()
        if not more and not spending.operations:
            return LimitedCalls(outcome)
        operations: tuple[Operation, ...] = (*more, *spending.operations)
        left = self._deadline if large else until - monotonic()
        answers = await self._ledger.ask(operations, now, left)
        refused = refused_names(more, answers, refused)
        spent = answers[len(more) :]
        over, longest = await to_thread(limited_by, spending, spent) if large else limited_by(spending, spent)
        if not refused and (claims or more) and len(inspection.calls) <= MANY:
            self._recent.note(org, found, claiming, api, now)
        if over or refused:
            last = (inspection, refused, over, api, repeated)
            outcome = await to_thread(decide_calls, *last) if large else decide_calls(*last)
        return LimitedCalls(outcome, longest)


def session_of(facts: SessionFacts) -> str:
    """Return whose rate counts: the session's, else the user's, else the address's. Server calls have none."""
    if facts.route is SERVER_API:
        return ""
    return facts.session_id or facts.user_id or (str(facts.client_ip) if facts.client_ip is not None else "")
