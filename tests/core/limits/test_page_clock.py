"""A page's own clock (rules.md 2, "Time of a call in an upload")."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsproxy.core.limits.page_clock import (
    CallClock,
    PageClock,
    call_clock,
    first_clock,
    largest_of,
    last_when,
    moved_back,
    page_offset,
)
from fsproxy.core.model import Instant

NOW = Instant(1_790_000_000.0)
CLIENT = 1_690_000_000_000.0
"""A client whose clock is years behind ours, in milliseconds."""


def test_a_prompt_upload_is_dated_by_the_clients_own_running_time() -> None:
    # Sent 12 s after the page's start; its last event is 2 s old.
    offset = page_offset(NOW, CLIENT + 12_000, CLIENT, 10_000)
    assert offset == NOW - 12
    assert CallClock(NOW, offset, "p").at(10_000) == NOW - 2


@pytest.mark.parametrize(
    ("age", "believed"),
    [(0, True), (0.5, True), (600_000, True), (-1, False), (600_001, False)],
)
def test_the_last_event_must_be_between_0_and_10_minutes_old(age: float, *, believed: bool) -> None:
    offset = page_offset(NOW, CLIENT + 5_000 + age, CLIENT, 5_000)
    assert offset == NOW - (5_000 + age if believed else 5_000) / 1000


@pytest.mark.parametrize(
    ("client_time", "page_start"),
    [(None, CLIENT), (CLIENT, None), (None, None), (nan, CLIENT), (CLIENT, nan), (inf, inf), (CLIENT, 0.0)],
)
def test_without_two_credible_times_the_last_event_is_taken_as_just_made(
    client_time: float | None, page_start: float | None
) -> None:
    assert page_offset(NOW, client_time, page_start, 7_000) == NOW - 7


def test_a_call_of_a_page_is_never_pressed() -> None:
    clock = CallClock(NOW, NOW - 3_600, "p")
    assert [clock.at(when) for when in (0, 3_600_000, 3_601_000)] == [NOW - 3_600, NOW, NOW + 1]


@pytest.mark.parametrize("when", [None, nan, inf, -inf, 1.1e12, -1.1e12, 10**400])
def test_a_call_without_a_credible_time_has_none(when: float | None) -> None:
    assert CallClock(NOW, NOW - 10, "p").at(when) is None


def test_without_a_clock_no_call_has_a_time_of_its_own() -> None:
    assert CallClock(NOW).at(1_000) is None


def test_the_largest_when_is_that_of_the_calls_or_of_the_last_event() -> None:
    assert largest_of((5, None, 9.5), 7) == 9.5
    assert largest_of((5,), 7) == 7
    assert largest_of((-3,), None) == -3
    assert largest_of((nan, inf, 2e12, 10**400), None) is None
    assert largest_of((), None) is None


@pytest.mark.parametrize(
    ("when", "credible"),
    [(1e12, True), (-1e12, True), (1e12 + 1, False), (-1e12 - 1, False), (0.0, True), (-5.5, True)],
)
def test_a_when_of_up_to_30_years_is_credible(when: float, *, credible: bool) -> None:
    assert largest_of((when,), None) == (when if credible else None)
    assert last_when(b'{"When":%d}' % when) == (int(when) if credible else None)
    assert (CallClock(NOW, 0.0).at(when) is not None) is credible


def test_a_clock_moves_back_and_never_forward() -> None:
    clock = first_clock(NOW)
    assert moved_back(clock, NOW + 5) is clock
    assert moved_back(clock, NOW) is clock
    assert moved_back(clock, NOW - 5) == PageClock(NOW - 5, NOW - 600)


def test_all_moves_together_are_bounded_by_10_minutes() -> None:
    clock = moved_back(first_clock(NOW), NOW - 400)
    assert moved_back(clock, NOW - 400 - 400) == PageClock(NOW - 600, NOW - 600)
    stopped = PageClock(NOW - 600, NOW - 600)
    assert moved_back(stopped, NOW - 700) is stopped


def test_an_upload_that_would_lie_in_the_future_is_dated_by_its_arrival() -> None:
    clock = PageClock(NOW - 600, NOW - 600)
    assert call_clock("p", clock, NOW - 500, NOW) == CallClock(NOW, NOW - 600, "p")
    assert call_clock("p", clock, NOW - 600, NOW) == CallClock(NOW, NOW - 600, "p")
    assert call_clock("p", clock, NOW - 700, NOW) == CallClock(NOW, NOW - 700, "")


credible = st.floats(-1e12, 1e12)


@given(st.none() | st.floats(), st.none() | st.floats(), credible)
def test_no_first_upload_lies_in_the_future(
    client_time: float | None, page_start: float | None, largest: float
) -> None:
    assert page_offset(NOW, client_time, page_start, largest) <= NOW - largest / 1000


def test_the_last_when_is_found_near_the_end() -> None:
    long = b"x" * 2_000
    assert last_when(b'{"When":99},{"Kind":20,"Args":[{"When":7}],"When" : 5.25}]}') == 5.25
    assert last_when(b'{"When":99}' + long + b'{"When":5}' + b" " * 900) == 5
    assert last_when(b'{"When":99}' + long) is None
    assert last_when(b'{"When":"x"}') is None
    assert last_when(b"") is None


def test_near_the_end_are_the_last_1024_bytes() -> None:
    event = b'"When":5'
    assert last_when(b'"When":99 ' + event + b" " * (1024 - len(event))) == 5
    assert last_when(b'"When":99 ' + event + b" " * (1025 - len(event))) is None
