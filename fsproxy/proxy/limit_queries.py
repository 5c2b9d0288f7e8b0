"""What the ledger is asked about a body's calls: names first, then rates and events' properties (rules.md 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from fsproxy.clock import monotonic
from fsproxy.core.client_api.inspected import MANY
from fsproxy.core.client_api.limiting import limited_by, spends
from fsproxy.core.client_api.outcome import decide_calls
from fsproxy.core.limits.cardinality import NO_NAMES, event_property_claims, first_claims, refused_names
from fsproxy.core.model import Route
from fsproxy.proxy.recent_claims import RecentClaims

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fsproxy.core.client_api.inspected import Inspection
    from fsproxy.core.client_api.outcome import CallsOutcome
    from fsproxy.core.client_api.verdicts import LimitVerdict
    from fsproxy.core.limits.operations import Claim, Ledger, Spent
    from fsproxy.core.limits.page_clock import CallClock
    from fsproxy.core.model import Instant, SessionFacts
    from fsproxy.core.policy import OrgPolicy

_P = ParamSpec("_P")
_T = TypeVar("_T")


class LimitQueries:
    """Asks them. ``deadline`` is for all of a body's waiting together, in seconds."""

    def __init__(self, ledger: Ledger, deadline: float) -> None:
        self._ledger = ledger
        self._deadline = deadline
        self._fresh = RecentClaims()

    def ask_now(
        self,
        policy: OrgPolicy,
        facts: SessionFacts,
        inspection: Inspection,
        repeated: Mapping[int, LimitVerdict],
        clock: CallClock,
    ) -> tuple[CallsOutcome, Spent | None] | None:
        """Ask and settle without waiting; None: it cannot be told so, or is too much to do in one turn of the loop.

        Nothing is spent then. ``clock`` dates the calls.
        """
        calls, now = inspection.calls, clock.now
        if len(calls) > MANY:
            return None
        skipped = self._settled_names(policy, facts, inspection, repeated, now)
        if len(skipped) < len(calls) and inspection.has_many_names:
            return None
        settings, cap, org = policy.client_api, policy.cap, facts.org or ""
        names = refused = NO_NAMES
        claims: tuple[Claim, ...] = ()
        if len(skipped) < len(calls):
            names = inspection.names(skipped)
            claims = first_claims(org, names, settings.cardinality, cap=cap)
        if claims:
            answers = self._ledger.try_now(claims, now)
            if answers is None:
                return None
            refused = refused_names(claims, answers)
        settled = decide_calls(inspection, refused, (), settings, cap=cap, repeats=repeated)
        session = session_of(facts)
        spending = spends(org, session, inspection, settled, repeated, clock, settings, cap)
        more = event_property_claims(org, names, refused, settings.cardinality, cap=cap) if names else ()
        if not more and not spending.operations:
            return settled, None
        answers = self._ledger.try_now((*more, *spending.operations), now)
        if answers is None:
            return None
        refused = refused_names(more, answers, refused)
        over, longest = limited_by(spending, answers[len(more) :])
        if not refused and (claims or more):
            self._fresh.admitted(org, inspection, skipped, now)
        if over or refused:
            settled = decide_calls(inspection, refused, over, settings, cap=cap, repeats=repeated)
        return settled, longest

    async def ask(
        self,
        policy: OrgPolicy,
        facts: SessionFacts,
        inspection: Inspection,
        repeated: Mapping[int, LimitVerdict],
        clock: CallClock | Awaitable[CallClock],
        now: Instant,
        until: float,
    ) -> tuple[CallsOutcome, Spent | None]:
        """Ask and settle, in at most two round trips until ``until``. Raises LedgerDownError."""
        settings, cap, org = policy.client_api, policy.cap, facts.org or ""
        off = inspection.has_many_names
        skipped = await run(off, self._settled_names, policy, facts, inspection, repeated, now)
        names = await run(off, inspection.names, skipped)
        claims = first_claims(org, names, settings.cardinality, cap=cap)
        refused = refused_names(claims, await self._ledger.ask(claims, now, self._left(until, off=off)))
        settle = partial(decide_calls, inspection, settings=settings, cap=cap, repeats=repeated)
        settled = await run(off, settle, refused, ())
        session = session_of(facts)
        dated = await clock if isinstance(clock, Awaitable) else clock
        spending = await run(off, spends, org, session, inspection, settled, repeated, dated, settings, cap)
        more = event_property_claims(org, names, refused, settings.cardinality, cap=cap)
        if not more and not spending.operations:
            return settled, None
        answers = await self._ledger.ask((*more, *spending.operations), now, self._left(until, off=off))
        refused = refused_names(more, answers, refused)
        over, longest = await run(off, limited_by, spending, answers[len(more) :])
        if not refused and (claims or more) and len(inspection.calls) <= MANY:
            self._fresh.admitted(org, inspection, skipped, now)
        if not over and not refused:
            return settled, longest
        return await run(off, settle, refused, over), longest

    def _settled_names(
        self,
        policy: OrgPolicy,
        facts: SessionFacts,
        inspection: Inspection,
        repeated: Mapping[int, LimitVerdict],
        now: Instant,
    ) -> set[int]:
        """The calls whose names need not be claimed."""
        fresh = self._fresh.among(facts.org or "", inspection, policy.client_api.cardinality, now)
        if not repeated:
            return fresh
        return fresh.union(index for index, verdict in repeated.items() if not verdict.names_anew)

    def _left(self, until: float, *, off: bool) -> float:
        """Seconds left to wait. Of a large body, whose own work takes long, each question has the whole time."""
        return self._deadline if off else until - monotonic()


async def run(off: bool, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:  # noqa: FBT001 - decided once a body
    """Do pure work, off the event loop when it is much."""
    if off:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)


def session_of(facts: SessionFacts) -> str:
    """Whose rate it is: the session's, else the user's, else the address's. Server calls have none."""
    if facts.route is Route.SERVER_API:
        return ""
    return facts.session_id or facts.user_id or (str(facts.client_ip) if facts.client_ip is not None else "")
