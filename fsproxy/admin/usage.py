"""How much of its quota and of its limits on names each org has used: for the admin API and as gauges.

Only an operator's question asks the ledger, never a request of the data plane. Memory answers at once. Redis is asked
for a few orgs at a time, and its answer is kept for some seconds. While it is down, the use is unknown.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fsproxy.admin.state_answers import MOST_ORGS, Forecast, NameAt, QuotaUsage, UsageReport
from fsproxy.admin.state_answers import OrgUsage as OrgAnswer
from fsproxy.clock import monotonic
from fsproxy.core.audit.privacy import safe
from fsproxy.core.limits.operations import LedgerDownError, NameKind, QuotaTerms
from fsproxy.core.model import Instant
from fsproxy.core.policy import OrgPolicy, Snapshot
from fsproxy.core.wire.facts import LONGEST_ID
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.memory.recent_names import LONGEST_NAME, MOST_NAMES
from fsproxy.telemetry.orgs import OrgCounts, Orgs

if TYPE_CHECKING:  # redis-py is an extra
    from fsproxy.state.redis.ledger import RedisLedger

LEAST_SECONDS = 3600.0
"""A pace is known after an hour."""
KEPT_SECONDS = 5.0
"""How long an answer of Redis is kept."""
ASK_SECONDS = 1.0
"""For all orgs together; less than a supervisor waits for a scrape."""
ORGS_AT_ONCE = 10
"""Orgs that Redis is asked for at a time. Requests wait behind these questions, for a fraction of a millisecond."""

_Counts = dict[str, tuple[Mapping[str, int], Mapping[NameKind, int]] | None]
"""By org: units of the quota by cycle, and names by kind. None: what keeps them is down, or too slow."""


class OrgUsage(msgspec.Struct, frozen=True):
    """How much one org has used, and its limits."""

    org: str
    policy: OrgPolicy
    terms: QuotaTerms | None
    """None: there is no quota."""
    used: int | None
    """Units in the present cycle; None: unknown."""
    names: Mapping[NameKind, int] | None
    """None: unknown."""

    @property
    def limits(self) -> dict[NameKind, int]:
        """How many names of each kind the org may use; kinds without a limit are not counted."""
        most = self.policy.client_api.cardinality
        limits = {
            NameKind.USER_PROPERTY: most.user_properties,
            NameKind.EVENT_NAME: most.event_names,
            NameKind.EVENT_PROPERTY: most.event_properties,
            NameKind.PAGE_PROPERTY: most.page_properties,
            NameKind.PAGE_NAME: most.page_names,
        }
        return {kind: limit for kind, limit in limits.items() if limit is not None}


class Usage(Collector):
    """Asks the ledger on demand."""

    def __init__(
        self,
        ledger: MemoryLedger | RedisLedger,
        snapshot: Callable[[], Snapshot],
        orgs: Orgs,
        since: Instant,
        *,
        kept: bool,
    ) -> None:
        """``snapshot`` returns the policies in force, ``orgs`` has counted since ``since``.

        ``kept``: the ledger's counts outlive the program, so they are those of the whole cycle.
        """
        self._orgs = orgs
        self._since = since
        self._kept = kept
        self._ledger = ledger
        self._snapshot = snapshot
        self._lock = asyncio.Lock()
        self._counts: _Counts = {}
        self.known = True
        """False: the store that counts was down when it was asked last."""
        self._due = float("-inf")
        self._latest: tuple[OrgUsage, ...] = ()

    async def read(self, now: Instant) -> tuple[OrgUsage, ...]:
        """Return the use of at most ``MOST_ORGS`` orgs: those active last, then listed ones that have a quota."""
        snapshot = self._snapshot()
        orgs = dict.fromkeys(self._ledger.recent_orgs(MOST_ORGS))
        if len(orgs) < MOST_ORGS:
            orgs |= dict.fromkeys(name for name, policy in snapshot.orgs.items() if policy.quota is not None)
        wanted = list(orgs)[:MOST_ORGS]
        async with self._lock:
            if monotonic() >= self._due:
                self._counts = {}
                self._due = monotonic() + (0.0 if isinstance(self._ledger, MemoryLedger) else KEPT_SECONDS)
            # Nothing is known of an org whose server is down, whatever it said before.
            self._counts |= {org: None for org in wanted if self._ledger.is_down(org)}
            await self._ask([org for org in wanted if org not in self._counts])
            counts = self._counts
            self.known = any(counts[org] for org in wanted) if wanted else not self._ledger.is_down("")
        self._latest = tuple(_usage(org, snapshot.policy(org), counts, now) for org in wanted)
        return self._latest

    async def units(self, org: str, terms: QuotaTerms) -> int:
        """Return the units of one org's quota that are used now. Raise LedgerDownError."""
        cycles, _ = await self._ledger.org_usage(org)
        return cycles.get(terms.cycle, 0)

    async def report(self, now: Instant) -> UsageReport:
        """Return the answer of the admin API."""
        orgs = await self.read(now)
        return {"known": self.known, "since": self._since, "orgs": [self._answer(each, now) for each in orgs]}

    def _answer(self, usage: OrgUsage, now: Instant) -> OrgAnswer:
        policy, recent = usage.policy, self._ledger.recent_names
        limits = policy.client_api.cardinality
        mode = limits.mode.value
        counts = self._orgs.named.get(usage.org)
        if counts is None and not self._orgs.others.ended:
            counts = OrgCounts()
        quota: QuotaUsage | None = None
        if policy.quota is not None and (terms := usage.terms) is not None:
            quota = {
                "used": usage.used,
                "limit": terms.limit,
                "mode": policy.quota.mode.value,
                "cycle": terms.cycle,
                "ends": terms.ends,
                "forecast": forecast(usage.used, terms, self._known_since(usage, counts, now), now),
            }
        return {
            "org": safe(usage.org, LONGEST_ID),
            "quota": quota,
            "sessions": counts.sessions if counts is not None else None,
            "upstream_bytes": {"up": counts.up, "down": counts.down} if counts is not None else None,
            "names": {
                kind.value: {
                    "known": usage.names.get(kind, 0) if usage.names is not None else None,
                    "limit": limit,
                    "mode": mode,
                    "newest": _names(recent.newest(usage.org, kind)),
                    "refused": _names(recent.newest_refused(usage.org, kind)),
                }
                for kind, limit in usage.limits.items()
            },
        }

    def _known_since(self, usage: OrgUsage, counts: OrgCounts | None, now: Instant) -> Instant:
        """Return since when the use of the quota in this cycle is known."""
        quota = usage.policy.quota
        begins = quota.calendar.at(now).begins if quota is not None else now
        # What this process has counted all by itself is no older than the process.
        own = not self._kept or (counts is not None and counts.sessions >= (usage.used or 0))
        return max(begins, self._since) if own else begins

    async def _ask(self, orgs: list[str]) -> None:
        """Take in the counts of these orgs. What is not known after a second stays so for a while."""
        self._counts |= dict.fromkeys(orgs)
        with suppress(TimeoutError):
            async with asyncio.timeout(ASK_SECONDS):
                for start in range(0, len(orgs), ORGS_AT_ONCE):
                    await asyncio.gather(*map(self._ask_one, orgs[start : start + ORGS_AT_ONCE]))

    async def _ask_one(self, org: str) -> None:
        with suppress(LedgerDownError):
            self._counts[org] = await self._ledger.org_usage(org)

    def collect(self) -> Iterator[Metric]:
        """Yield what ``read`` returned last, as gauges. May run in a thread."""
        quota = GaugeMetricFamily(
            "fsproxy_quota_used", "Units of the quota in use, of at most 100 orgs.", labels=("org",)
        )
        quota_limit = GaugeMetricFamily("fsproxy_quota_limit", "Units that the quota has.", labels=("org",))
        names = GaugeMetricFamily("fsproxy_names", "Names in use, of at most 100 orgs.", labels=("org", "kind"))
        names_limit = GaugeMetricFamily("fsproxy_names_limit", "Names that there may be.", labels=("org", "kind"))
        # Two ids may look alike once they are escaped, and a sample that is there twice spoils the whole answer.
        for label, each in {safe(each.org, LONGEST_ID): each for each in self._latest}.items():
            if each.terms is not None:
                quota_limit.add_metric((label,), each.terms.limit)
                if each.used is not None:
                    quota.add_metric((label,), each.used)
            for kind, limit in each.limits.items():
                names_limit.add_metric((label, kind.value), limit)
                if each.names is not None:
                    names.add_metric((label, kind.value), each.names.get(kind, 0))
        yield from (quota, quota_limit, names, names_limit)


def forecast(used: int | None, terms: QuotaTerms, since: float, now: Instant) -> Forecast | None:
    """Return what becomes of a quota at the pace since ``since``; None: that is too short a time, or unknown."""
    if used is None or now - since < LEAST_SECONDS:
        return None
    pace = used / (now - since)
    left = terms.limit - used
    used_up_at = now if left <= 0 else now + left / pace if pace else math.inf
    at_end = round(used + pace * (terms.ends - now))
    return {"used_up_at": used_up_at if used_up_at < terms.ends else None, "at_end": at_end}


def _usage(org: str, policy: OrgPolicy, counts: _Counts, now: Instant) -> OrgUsage:
    terms = policy.quota.terms(now) if policy.quota is not None else None
    counted = counts.get(org)
    if counted is None:
        return OrgUsage(org, policy, terms, None, None)
    cycles, names = counted
    return OrgUsage(org, policy, terms, cycles.get(terms.cycle, 0) if terms is not None else None, names)


def _names(names: Mapping[str, float]) -> list[NameAt]:
    newest_first = reversed(list(names.items())[-MOST_NAMES:])
    return [{"name": safe(name, LONGEST_NAME), "at": at} for name, at in newest_first]
