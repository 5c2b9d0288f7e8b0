"""Asks the ledger about a body's calls: names first, then rates and the properties of events (rules.md 2)."""

from __future__ import annotations

from asyncio import to_thread
from typing import TYPE_CHECKING

import msgspec

from fsproxy.clock import monotonic
from fsproxy.core.client_api.inspected import MANY
from fsproxy.core.client_api.inspection import inspect_anew
from fsproxy.core.client_api.limiting import Spending, limited_by, spends
from fsproxy.core.client_api.outcome import decide_calls
from fsproxy.core.limits.cardinality import NO_NAMES, Names, event_property_claims, first_claims, refused_names
from fsproxy.core.model import Route
from fsproxy.proxy.off_loop import run
from fsproxy.proxy.recent_claims import RecentClaims

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from fsproxy.core.client_api.inspected import Inspection
    from fsproxy.core.client_api.outcome import CallsOutcome
    from fsproxy.core.client_api.verdicts import LimitVerdict
    from fsproxy.core.limits.operations import Claim, Ledger, Operation, Spent
    from fsproxy.core.limits.page_clock import CallClock
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
        facts: SessionFacts,
        inspection: Inspection,
        repeated: Mapping[int, LimitVerdict],
        clock: Callable[[], Awaitable[CallClock]],
        now: Instant,
        until: float,
    ) -> LimitedCalls:
        """Return what becomes of each call. Ask the ledger twice at most, and wait for it until ``until``.

        ``clock`` dates the calls. It is awaited after the first question: what both ask is one round trip. Raises
        LedgerDownError.
        """
        large, found = len(inspection.calls) > MANY, inspection
        if large:
            skipped = await to_thread(self._without_claims, policy, facts, inspection, repeated, now)
        else:
            skipped = self._without_claims(policy, facts, inspection, repeated, now)
        if len(skipped) < len(inspection.calls) or repeated:
            # Names are claimed and rejected in the order of the text, which is not known of a learned event.
            inspection = await run(inspection.has_many_names, inspect_anew, policy.client_api, inspection)
        names = refused = NO_NAMES
        claims: tuple[Claim, ...] = ()
        org, cardinality = facts.org or "", policy.client_api.cardinality
        if len(skipped) < len(inspection.calls):
            large = large or inspection.has_many_names
            names = await to_thread(inspection.names, skipped) if large else inspection.names(skipped)
            claims = first_claims(org, names, cardinality, cap=policy.cap)
        if claims:
            refused = refused_names(claims, await self._ledger.ask(claims, now, self._left(until, large=large)))
        task = (policy, facts, inspection, repeated, await clock(), refused)
        outcome, spending = await to_thread(_after_names, *task) if large else _after_names(*task)
        more = event_property_claims(org, names, refused, cardinality, cap=policy.cap) if names else ()
        if not more and not spending.operations:
            return LimitedCalls(outcome)
        operations: tuple[Operation, ...] = (*more, *spending.operations)
        answers = await self._ledger.ask(operations, now, self._left(until, large=large))
        refused = refused_names(more, answers, refused)
        spent = answers[len(more) :]
        over, longest = await to_thread(limited_by, spending, spent) if large else limited_by(spending, spent)
        if not refused and (claims or more) and len(inspection.calls) <= MANY:
            self._recent.note(org, found, skipped, policy.client_api, now)
        if over or refused:
            last = (policy, inspection, repeated, refused, over)
            outcome = await to_thread(_decided, *last) if large else _decided(*last)
        return LimitedCalls(outcome, longest)

    def _left(self, until: float, *, large: bool) -> float:
        """Return the seconds left to wait. A large body's own work takes long, so each question has the whole time."""
        return self._deadline if large else until - monotonic()

    def _without_claims(
        self,
        policy: OrgPolicy,
        facts: SessionFacts,
        inspection: Inspection,
        repeated: Mapping[int, LimitVerdict],
        now: Instant,
    ) -> set[int]:
        """Return the calls whose names need not be claimed: they are known, or the call's repeat was decided before."""
        known = self._recent.among(facts.org or "", inspection, policy.client_api.cardinality, now)
        if not repeated:
            return known
        return known.union(index for index, verdict in repeated.items() if not verdict.names_anew)


def _decided(
    policy: OrgPolicy,
    inspection: Inspection,
    repeated: Mapping[int, LimitVerdict],
    refused: Names,
    over: Collection[int] = (),
) -> CallsOutcome:
    return decide_calls(inspection, refused, over, policy.client_api, cap=policy.cap, repeats=repeated)


def _after_names(
    policy: OrgPolicy,
    facts: SessionFacts,
    inspection: Inspection,
    repeated: Mapping[int, LimitVerdict],
    clock: CallClock,
    refused: Names,
) -> tuple[CallsOutcome, Spending]:
    """Return what becomes of the calls as far as names decide it, and what those that are left spend."""
    outcome = _decided(policy, inspection, repeated, refused)
    org, session = facts.org or "", session_of(facts)
    return outcome, spends(org, session, inspection, outcome, repeated, clock, policy.client_api, policy.cap)


def session_of(facts: SessionFacts) -> str:
    """Return whose rate counts: the session's, else the user's, else the address's. Server calls have none."""
    if facts.route is Route.SERVER_API:
        return ""
    return facts.session_id or facts.user_id or (str(facts.client_ip) if facts.client_ip is not None else "")
