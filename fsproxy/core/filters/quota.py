"""Reason 3: the org has used up its sessions of the billing cycle. The ledger counts; this filter has the terms."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar, Self
from zoneinfo import ZoneInfo

from fsproxy.core.filters.base import rule_at
from fsproxy.core.limits.operations import QuotaTerms
from fsproxy.core.limits.quota import BillingCalendar
from fsproxy.core.model import FilterName, Hit, Instant, Mode, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, OrgSettings

_NEVER = (Instant(math.inf), QuotaTerms("", 0, Instant(-math.inf), False))
"""A cycle that no instant is in."""


@dataclass(frozen=True, slots=True)
class QuotaFilter:
    """``sessions`` for each billing cycle, and the share ``spill_over`` of them in addition, rounded down."""

    name: ClassVar[FilterName] = FilterName.QUOTA
    on_pages_only: ClassVar[bool] = True

    mode: Mode
    hit: Hit
    """The hit if the ledger finds the quota used up."""
    limit: int
    """Sessions in a cycle, spill-over included."""
    calendar: BillingCalendar
    latest: list[tuple[Instant, QuotaTerms]] = field(default_factory=lambda: [_NEVER], compare=False, repr=False)
    """The start and the terms of the latest cycle, which take as long to compute as all other filters together.

    They are one item that is replaced as a whole, so threads never see half of it. No answer depends on it.
    """

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        settings = org.filters.quota
        mode = settings.mode.capped(core.mode)
        if mode is Mode.OFF or settings.sessions is None:
            return None
        # Exact fractions: 100 sessions and 10 % more are 110, where floats would give 100 * 1.1000000000000001.
        spilled = math.floor(settings.sessions * (1 + Fraction(str(settings.spill_over))))
        return cls(
            mode,
            Hit(cls.name, ReasonCode.OVER_QUOTA, rule_at(cls.name, "sessions", settings.places)),
            spilled,
            BillingCalendar(settings.cycle, settings.anchor_month, settings.anchor_day, ZoneInfo(settings.timezone)),
        )

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        """Return None always: only the ledger knows whether a session is new, and how many there were."""
        return None

    def terms(self, now: Instant) -> QuotaTerms:
        """Return the quota that a session beginning ``now`` counts against."""
        begins, terms = self.latest[0]
        if begins <= now < terms.ends:
            return terms
        cycle = self.calendar.at(now)
        terms = QuotaTerms(cycle.name, self.limit, cycle.ends, self.mode is Mode.ENFORCE)
        self.latest[0] = (cycle.begins, terms)
        return terms
