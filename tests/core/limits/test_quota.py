"""The billing cycle that an instant falls into."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.limits.quota import BillingCalendar
from fsproxy.core.model import Instant
from fsproxy.core.settings import Cycle

M, Y = Cycle.MONTHLY, Cycle.YEARLY


def _instant(text: str) -> Instant:
    return Instant(datetime.fromisoformat(text).timestamp())


CYCLES = [
    # now, cycle, anchor month, anchor day, timezone: name, end
    ("2026-11-21T21:00:00+00:00", M, 1, 1, "UTC", "2026-11-01", "2026-12-01T00:00:00+00:00"),
    ("2026-11-01T00:00:00+00:00", M, 1, 1, "UTC", "2026-11-01", "2026-12-01T00:00:00+00:00"),
    ("2026-10-31T23:59:59+00:00", M, 1, 1, "UTC", "2026-10-01", "2026-11-01T00:00:00+00:00"),
    ("2026-12-31T23:59:59+00:00", M, 1, 1, "UTC", "2026-12-01", "2027-01-01T00:00:00+00:00"),
    ("2027-01-10T00:00:00+00:00", M, 1, 15, "UTC", "2026-12-15", "2027-01-15T00:00:00+00:00"),
    ("2026-11-15T00:00:00+00:00", M, 1, 15, "UTC", "2026-11-15", "2026-12-15T00:00:00+00:00"),
    # anchor day 31 is the last day of a shorter month
    ("2026-02-27T23:59:59+00:00", M, 1, 31, "UTC", "2026-01-31", "2026-02-28T00:00:00+00:00"),
    ("2026-02-28T00:00:00+00:00", M, 1, 31, "UTC", "2026-02-28", "2026-03-31T00:00:00+00:00"),
    ("2028-02-28T12:00:00+00:00", M, 1, 31, "UTC", "2028-01-31", "2028-02-29T00:00:00+00:00"),
    ("2026-04-30T00:00:00+00:00", M, 1, 31, "UTC", "2026-04-30", "2026-05-31T00:00:00+00:00"),
    # the timezone decides when a day begins
    ("2026-11-01T03:59:59+00:00", M, 1, 1, "America/New_York", "2026-10-01", "2026-11-01T00:00:00-04:00"),
    ("2026-11-01T04:00:00+00:00", M, 1, 1, "America/New_York", "2026-11-01", "2026-12-01T00:00:00-05:00"),
    ("2026-10-31T10:00:00+00:00", M, 1, 1, "Pacific/Kiritimati", "2026-11-01", "2026-12-01T00:00:00+14:00"),
    ("2026-03-15T00:00:00+00:00", M, 1, 1, "Europe/Berlin", "2026-03-01", "2026-04-01T00:00:00+02:00"),
    # a year, from its anchor
    ("2026-11-21T21:00:00+00:00", Y, 1, 1, "UTC", "2026-01-01", "2027-01-01T00:00:00+00:00"),
    ("2026-07-14T23:59:59+00:00", Y, 7, 15, "UTC", "2025-07-15", "2026-07-15T00:00:00+00:00"),
    ("2026-07-15T00:00:00+00:00", Y, 7, 15, "UTC", "2026-07-15", "2027-07-15T00:00:00+00:00"),
    ("2028-02-28T23:59:59+00:00", Y, 2, 29, "UTC", "2027-02-28", "2028-02-29T00:00:00+00:00"),
    ("2028-02-29T00:00:00+00:00", Y, 2, 29, "UTC", "2028-02-29", "2029-02-28T00:00:00+00:00"),
    ("2026-12-31T23:30:00+00:00", Y, 1, 1, "Europe/Berlin", "2027-01-01", "2028-01-01T00:00:00+01:00"),
]


@pytest.mark.parametrize(("now", "cycle", "month", "day", "zone", "name", "ends"), CYCLES)
def test_an_instant_falls_into_the_cycle_that_began_last(
    now: str, cycle: Cycle, month: int, day: int, zone: str, name: str, ends: str
) -> None:
    found = BillingCalendar(cycle, month, day, ZoneInfo(zone)).at(_instant(now))
    assert (found.name, found.ends) == (name, _instant(ends))


def test_a_midnight_that_the_clocks_skip_is_the_moment_at_which_they_do() -> None:
    """In Santiago 2026-09-06 began at 01:00, 04:00 UTC."""
    calendar = BillingCalendar(M, 1, 6, ZoneInfo("America/Santiago"))
    assert calendar.at(_instant("2026-09-06T03:59:59+00:00")).name == "2026-08-06"
    found = calendar.at(_instant("2026-09-06T04:00:00+00:00"))
    assert (found.name, found.begins) == ("2026-09-06", _instant("2026-09-06T04:00:00+00:00"))


def test_a_cycle_that_has_begun_goes_on_where_the_clocks_go_back_to_the_day_before() -> None:
    """In St. John's 2009-11-01 lasted a minute, then it was October 31st, 23:01, again."""
    calendar = BillingCalendar(M, 1, 1, ZoneInfo("America/St_Johns"))
    for now in ("2009-11-01T02:30:00+00:00", "2009-11-01T03:00:00+00:00", "2009-11-01T03:30:00+00:00"):
        assert calendar.at(_instant(now)).name == "2009-11-01"
    assert calendar.at(_instant("2009-11-01T02:29:59+00:00")).name == "2009-10-01"


ZONES = st.sampled_from(
    ["UTC", "America/St_Johns", "Europe/Berlin", "Africa/Cairo", "America/Sao_Paulo", "Asia/Beirut"]
)


@settings(max_examples=200)
@given(
    now=st.floats(0, 4e9),
    cycle=st.sampled_from(Cycle),
    month=st.integers(1, 12),
    day=st.integers(1, 31),
    zone=ZONES,
)
def test_every_instant_is_in_its_own_cycle_and_cycles_touch(
    now: float, cycle: Cycle, month: int, day: int, zone: str
) -> None:
    calendar = BillingCalendar(cycle, month, day, ZoneInfo(zone))
    found = calendar.at(Instant(now))
    assert found.begins <= now < found.ends
    following = calendar.at(found.ends)
    assert following.begins == found.ends
    assert following.name > found.name
    longest = timedelta(days=32 if cycle is M else 367).total_seconds()
    assert found.ends - found.begins <= longest
    assert found.name == datetime.fromtimestamp(found.begins, ZoneInfo(zone)).date().isoformat()


def test_the_epoch_itself_has_a_cycle() -> None:
    assert BillingCalendar(M, 1, 1, UTC).at(Instant(0.0)).name == "1970-01-01"


def test_the_cycle_that_goes_on_there_keeps_its_begin_and_its_end() -> None:
    calendar = BillingCalendar(M, 1, 1, ZoneInfo("America/St_Johns"))
    for now in ("2009-11-01T02:30:00+00:00", "2009-11-01T02:45:00+00:00", "2009-11-20T00:00:00+00:00"):
        found = calendar.at(_instant(now))
        assert found.begins == _instant("2009-11-01T02:30:00+00:00")
        assert found.ends == _instant("2009-12-01T03:30:00+00:00")
