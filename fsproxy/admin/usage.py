"""How much of its quota and of its limits on names each org has used: for the admin API and as gauges.

The ledger is asked when somebody wants to know, never by a request: memory at once; Redis a few orgs at a time, and
what it said is told again for some seconds. While it is down, what is used is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

from fsproxy.admin.usage_view import MOST_ORGS
from fsproxy.clock import monotonic
from fsproxy.core.audit.privacy import safe
from fsproxy.core.limits.operations import LedgerDownError, NameKind, QuotaTerms
from fsproxy.core.model import Instant
from fsproxy.core.policy import OrgPolicy, Snapshot
from fsproxy.core.wire.facts import LONGEST_ID
from fsproxy.state.memory.recent_names import RecentNames
from fsproxy.state.redis.breaker import Breaker

KEPT_SECONDS = 5.0
"""What a ledger that must be asked has said is told for so long."""
ASK_SECONDS = 1.0
"""For all orgs together; less than a supervisor waits for a scrape."""
ORGS_AT_ONCE = 10
"""Orgs of which Redis is asked at a time: their questions stand before those of requests, for a fraction of a ms."""


_Counts = dict[str, tuple[Mapping[str, int], Mapping[NameKind, int]]]
"""By org: units of the quota by cycle, and names by kind."""


class UsageLedger(Protocol):
    """What of the ledger is told."""

    recent_names: RecentNames

    @property
    def breaker(self) -> Breaker | None:
        """None: asking costs nothing."""
        ...

    def recent_orgs(self, most: int) -> list[str]:
        """At most so many orgs that used anything, the one that was active last first."""
        ...

    async def org_usage(self, org: str) -> tuple[Mapping[str, int], Mapping[NameKind, int]]:
        """Units of the quota by cycle, and names by kind. Raises LedgerDownError."""
        ...


class OrgUsage(msgspec.Struct, frozen=True):
    """What one org has used, and of how much."""

    org: str
    policy: OrgPolicy
    terms: QuotaTerms | None
    """None: there is no quota."""
    used: int | None
    """Units in the cycle of now; None: not known."""
    names: Mapping[NameKind, int] | None

    @property
    def limits(self) -> dict[NameKind, int]:
        """How many names there may be of each kind."""
        most = self.policy.client_api.cardinality
        return {
            NameKind.USER_PROPERTY: most.user_properties,
            NameKind.EVENT_NAME: most.event_names,
            NameKind.EVENT_PROPERTY: most.event_properties,
        }


class Usage:
    """Asks the ledger, on demand."""

    def __init__(self, ledger: UsageLedger, snapshot: Callable[[], Snapshot]) -> None:
        """``snapshot``: the policies of now."""
        self.recent_names = ledger.recent_names
        self._ledger = ledger
        self._snapshot = snapshot
        self._lock = asyncio.Lock()
        self._counts: _Counts | None = {}
        """By org; None: the ledger is down."""
        self._due = float("-inf")
        self._told: tuple[OrgUsage, ...] = ()

    async def read(self, now: Instant) -> tuple[OrgUsage, ...]:
        """Of at most ``MOST_ORGS`` orgs: those that were active last, then listed ones that have a quota."""
        snapshot = self._snapshot()
        orgs = dict.fromkeys(self._ledger.recent_orgs(MOST_ORGS))
        if len(orgs) < MOST_ORGS:
            orgs |= dict.fromkeys(name for name, policy in snapshot.orgs.items() if policy.quota is not None)
        wanted = list(orgs)[:MOST_ORGS]
        async with self._lock:
            breaker = self._ledger.breaker
            if monotonic() >= self._due:
                self._counts = {}
                self._due = monotonic() + (KEPT_SECONDS if breaker is not None else 0.0)
            if breaker is not None and breaker.is_open:
                self._counts = None
            if self._counts is not None:
                self._counts = await self._ask(wanted, self._counts)
            counts = self._counts
        self._told = tuple(_usage(org, snapshot.policy(org), counts, now) for org in wanted)
        return self._told

    @property
    def known(self) -> bool:
        """False: the store that counts was down when it was asked last."""
        return self._counts is not None

    async def units(self, org: str, terms: QuotaTerms) -> int:
        """Units of one org's quota that are used now. Raises LedgerDownError."""
        cycles, _ = await self._ledger.org_usage(org)
        return cycles.get(terms.cycle, 0)

    async def _ask(self, wanted: list[str], known: _Counts) -> _Counts | None:
        """Also of those that are not known yet; None: the ledger is down, or too slow."""
        orgs, told = [org for org in wanted if org not in known], dict(known)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                for start in range(0, len(orgs), ORGS_AT_ONCE):
                    part = orgs[start : start + ORGS_AT_ONCE]
                    answers = await asyncio.gather(*(self._ledger.org_usage(org) for org in part))
                    told |= dict(zip(part, answers, strict=True))
        except (LedgerDownError, TimeoutError):
            return None
        return told

    def collect(self) -> Iterator[Metric]:
        """As gauges, what ``read`` told last. May run in a thread."""
        quota = GaugeMetricFamily(
            "fsproxy_quota_used", "Units of the quota in use, of at most 100 orgs.", labels=("org",)
        )
        quota_limit = GaugeMetricFamily("fsproxy_quota_limit", "Units that the quota has.", labels=("org",))
        names = GaugeMetricFamily("fsproxy_names", "Names in use, of at most 100 orgs.", labels=("org", "kind"))
        names_limit = GaugeMetricFamily("fsproxy_names_limit", "Names that there may be.", labels=("org", "kind"))
        # Escaped, two ids may look alike, and a sample that stands twice spoils the whole answer.
        for label, each in {safe(each.org, LONGEST_ID): each for each in self._told}.items():
            if each.terms is not None:
                quota_limit.add_metric((label,), each.terms.limit)
                if each.used is not None:
                    quota.add_metric((label,), each.used)
            for kind, limit in each.limits.items():
                names_limit.add_metric((label, kind.value), limit)
                if each.names is not None:
                    names.add_metric((label, kind.value), each.names.get(kind, 0))
        yield from (quota, quota_limit, names, names_limit)


def _usage(
    org: str,
    policy: OrgPolicy,
    counts: _Counts | None,
    now: Instant,
) -> OrgUsage:
    terms = policy.quota.terms(now) if policy.quota is not None else None
    told = counts.get(org) if counts is not None else None
    if told is None:
        return OrgUsage(org, policy, terms, None, None)
    cycles, names = told
    return OrgUsage(org, policy, terms, cycles.get(terms.cycle, 0) if terms is not None else None, names)
