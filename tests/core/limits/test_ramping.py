"""The stable bucket, and the share in force at an instant."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.limits.ramping import Draw, Schedule, bucket
from fsproxy.core.model import Instant
from fsproxy.core.settings import RampingStep


def _instant(*parts: int) -> Instant:
    return Instant(datetime(*parts, tzinfo=UTC).timestamp())


@settings(max_examples=200)
@given(st.text(st.characters()), st.text(st.characters()), st.text(st.characters()))
def test_a_bucket_is_at_least_0_and_less_than_1_and_always_the_same(org: str, salt: str, user: str) -> None:
    place = bucket(org, salt, user)
    assert 0.0 <= place < 1.0
    assert place == bucket(org, salt, user)


def test_buckets_do_not_change_from_one_release_to_the_next() -> None:
    """Pinned: another hash would drop visitors who were in."""
    assert bucket("o-1ABC-na1", "", "6b1f4a2e-0000-4000-8000-000000000001") == 0.551830109934543


def test_org_salt_and_user_are_kept_apart() -> None:
    places = {bucket("ab", "c", "d"), bucket("a", "bc", "d"), bucket("a", "b", "cd"), bucket("", "abc", "d")}
    assert len(places) == 4


def test_buckets_are_spread_evenly() -> None:
    """10,000 users into 10 equal parts: each part gets between 9 % and 11 %."""
    parts = [0] * 10
    for number in range(10_000):
        parts[int(bucket("o-1", "salt", f"user-{number}") * 10)] += 1
    assert all(900 <= count <= 1100 for count in parts)


RISING = Schedule.of([RampingStep(date(2026, 1, 1), 0.1), RampingStep(date(2026, 1, 11), 0.6)])


@pytest.mark.parametrize(
    ("now", "share"),
    [
        ((2020, 1, 1), 0.0),
        ((2025, 12, 31, 23), 0.0),
        ((2026, 1, 1), 0.1),
        ((2026, 1, 6), 0.35),
        ((2026, 1, 10, 12), 0.575),
        ((2026, 1, 11), 0.6),
        ((2031, 1, 1), 0.6),
    ],
)
def test_nobody_before_the_first_day_then_linear_then_the_last_share(now: tuple[int, ...], share: float) -> None:
    assert RISING.share(_instant(*now)) == pytest.approx(share, abs=1e-12)


def test_a_single_step_switches_on_at_midnight_utc() -> None:
    schedule = Schedule.of([RampingStep(date(2026, 2, 1), 0.25)])
    midnight = _instant(2026, 2, 1)
    assert schedule.share(Instant(midnight - 1)) == 0.0
    assert schedule.share(midnight) == 0.25


@pytest.mark.parametrize(
    ("day", "least"),
    [((2025, 12, 1), 0.0), ((2026, 1, 1), 0.2), ((2026, 1, 21), 0.2), ((2026, 1, 26), 0.2), ((2026, 2, 5), 0.4)],
)
def test_the_least_share_from_now_on_is_one_that_the_schedule_names_or_that_of_now(
    day: tuple[int, ...], least: float
) -> None:
    shares = (0.6, 0.8, 0.2, 0.6)
    days = (date(2026, 1, 1), date(2026, 1, 11), date(2026, 1, 31), date(2026, 2, 10))
    schedule = Schedule.of(map(RampingStep, days, shares))
    assert schedule.least(_instant(*day)) == pytest.approx(least)
    assert schedule.least(_instant(2030, 1, 1)) == 0.6


def test_a_visitor_is_remembered_by_a_share_that_excludes_him_under_the_names_of_its_rule() -> None:
    place = bucket("o", "salt", "u")
    assert Draw("salt", place).remembered("o", "u") == "u"
    assert Draw("salt", place, "rule").remembered("o", "u") == "rule\nu"
    assert Draw("salt", place + 1e-9).remembered("o", "u") is None


def test_steps_may_be_given_in_any_order_and_the_later_of_one_day_counts() -> None:
    schedule = Schedule.of(
        [RampingStep(date(2026, 3, 1), 0.9), RampingStep(date(2026, 1, 1), 0.1), RampingStep(date(2026, 3, 1), 0.5)]
    )
    assert schedule.share(_instant(2026, 1, 1)) == 0.1
    assert schedule.share(_instant(2026, 3, 1)) == 0.5


@settings(max_examples=200)
@given(
    steps=st.lists(st.tuples(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.floats(0, 1)), min_size=1, max_size=6),
    now=st.floats(-1e9, 5e9),
)
def test_the_share_never_leaves_0_to_1(steps: list[tuple[date, float]], now: float) -> None:
    share = Schedule.of(RampingStep(day, share) for day, share in steps).share(Instant(now))
    assert 0.0 <= share <= 1.0 + 1e-12


@settings(max_examples=100)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=5).map(sorted), st.floats(0, 4e7), st.floats(0, 4e7))
def test_a_rising_schedule_never_falls(shares: list[float], one: float, other: float) -> None:
    start = date(2026, 1, 1).toordinal()
    schedule = Schedule.of(RampingStep(date.fromordinal(start + 30 * i), s) for i, s in enumerate(shares))
    base = _instant(2026, 1, 1)
    earlier, later = sorted((base + one, base + other))
    assert schedule.share(Instant(earlier)) <= schedule.share(Instant(later)) + 1e-12


@pytest.mark.parametrize(
    ("org", "salt", "user", "place"),
    [
        ("o-1", "", "u-1", 0.5861304921708853),
        ("o-1", "pepper", "u-1", 0.09045738179087881),
        ("", "", "", 0.055878189092149144),
        ("o", "s", "\ud800", 0.67921135271231),
        ("a", "", "b", 0.8840357734801392),
        ("", "a", "b", 0.9527426209491192),
    ],
)
def test_a_place_never_changes_from_version_to_version(org: str, salt: str, user: str, place: float) -> None:
    """Else a new release would drop visitors who were in; an unpaired surrogate is an id like any other."""
    assert bucket(org, salt, user) == place
