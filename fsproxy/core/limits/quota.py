"""The billing cycle that an instant falls into: the arithmetic behind the quota (rules.md 1, order 13)."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

import msgspec

from fsproxy.core.model import Instant
from fsproxy.core.settings import Cycle


class BillingCycle(msgspec.Struct, frozen=True, gc=False):
    """One cycle: from midnight of its first day to midnight of the next one's, in the calendar's timezone."""

    name: str
    """Its first day, ISO: ``2026-11-01``."""
    begins: Instant
    ends: Instant
    """Not part of it any more."""


@dataclass(frozen=True, slots=True)
class BillingCalendar:
    """When cycles begin: every month or every year, on the anchor day.

    A month that is too short for the anchor day begins its cycle on its last day (31 -> February 28th
    or 29th). A midnight that the timezone skips is the moment at which it was skipped.
    """

    cycle: Cycle
    anchor_month: int
    """1 to 12; obeyed by a yearly cycle alone."""
    anchor_day: int
    """1 to 31."""
    timezone: tzinfo

    def at(self, now: Instant) -> BillingCycle:
        """The cycle in force at ``now``: its start is part of it, its end is not."""
        local = datetime.fromtimestamp(now, self.timezone)
        # Months since year 0, so that a year's turn needs no case of its own.
        if self.cycle is Cycle.MONTHLY:
            step, month = 1, local.year * 12 + local.month - 1
        else:
            step, month = 12, local.year * 12 + self.anchor_month - 1
        # Instants are compared, not dates: local dates may run twice where the clocks go back.
        begins, ends = self._begins(month), self._begins(month + step)
        if now < begins:
            month -= step
            begins, ends = self._begins(month), begins
        elif now >= ends:
            month += step
            begins, ends = ends, self._begins(month + step)
        return BillingCycle(self._first_day(month).isoformat(), begins, ends)

    def _first_day(self, month: int) -> date:
        year, month_of_year = divmod(month, 12)
        last = monthrange(year, month_of_year + 1)[1]
        return date(year, month_of_year + 1, min(self.anchor_day, last))

    def _begins(self, month: int) -> Instant:
        day = self._first_day(month)
        return Instant(datetime(day.year, day.month, day.day, tzinfo=self.timezone).timestamp())
