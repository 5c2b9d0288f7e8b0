"""Billing cycles: which one an instant is in (rules.md 1, order 13)."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

import msgspec

from fsproxy.core.model import Instant
from fsproxy.core.settings import Cycle


class BillingCycle(msgspec.Struct, frozen=True, gc=False):
    """One cycle, from midnight of its first day to midnight of the next cycle's, in the calendar's timezone."""

    name: str
    """Its first day in ISO form, such as ``2026-11-01``."""
    begins: Instant
    ends: Instant
    """The first instant after it."""


@dataclass(frozen=True, slots=True)
class BillingCalendar:
    """When cycles begin: every month or every year, on the anchor day.

    In a month without the anchor day the cycle begins on the last day (31: February 28th or 29th). If the timezone
    skips midnight, the cycle begins at the moment of the skip.
    """

    cycle: Cycle
    anchor_month: int
    """1 to 12; only for yearly cycles."""
    anchor_day: int
    """1 to 31."""
    timezone: tzinfo

    def at(self, now: Instant) -> BillingCycle:
        """Return the cycle that ``now`` is in. The start of a cycle is part of it, its end is not."""
        local = datetime.fromtimestamp(now, self.timezone)
        # Months are counted from year 0, so that the turn of a year is no special case.
        if self.cycle is Cycle.MONTHLY:
            step, month = 1, local.year * 12 + local.month - 1
        else:
            step, month = 12, local.year * 12 + self.anchor_month - 1
        # Instants are compared, because a local date may come twice when clocks go back.
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
