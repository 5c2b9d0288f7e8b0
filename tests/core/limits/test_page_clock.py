"""A page's own clock (rules.md 2, "Time of a call in an upload")."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsproxy.core.limits.page_clock import call_time, largest_when, last_when, page_offset
from fsproxy.core.model import Instant

NOW = Instant(1_790_000_000.0)
CLIENT = 1_690_000_000_000.0
"""A client whose clock is years behind ours, in milliseconds."""


def test_a_prompt_upload_is_dated_by_the_clients_own_running_time() -> None:
    # Sent 12 s after the page's start; its last event is 2 s old.
    offset = page_offset(NOW, CLIENT + 12_000, CLIENT, 10_000)
    assert offset == NOW - 12
    assert call_time(offset, 10_000, NOW) == NOW - 2


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


@pytest.mark.parametrize("largest", [None, nan, inf, -inf])
def test_an_upload_without_a_largest_when_starts_its_clock_at_its_arrival(largest: float | None) -> None:
    assert page_offset(NOW, None, None, largest) == NOW


def test_late_bundles_keep_their_distances() -> None:
    """An outage holds three bundles back; they arrive together, in any order, and are still seconds apart."""
    offset = page_offset(Instant(NOW - 60), CLIENT + 5_000, CLIENT, 5_000)
    times = [call_time(offset, when, NOW) for when in (20_000, 10_000, 15_000)]
    assert times == [NOW - 45, NOW - 55, NOW - 50]


def test_a_call_is_never_later_than_now() -> None:
    assert call_time(NOW, 1_000, NOW) == NOW


def test_a_call_is_never_more_than_5_minutes_back() -> None:
    assert call_time(NOW - 3_600, 0, NOW) == NOW - 300
    assert call_time(NOW - 300, 0, NOW) == NOW - 300


@pytest.mark.parametrize("when", [None, nan, inf, -inf])
def test_a_call_without_a_time_was_made_now(when: float | None) -> None:
    assert call_time(NOW - 10, when, NOW) == NOW


numbers = st.none() | st.floats()


@given(numbers, numbers, numbers, numbers)
def test_whatever_a_client_sends_a_call_is_within_the_last_5_minutes(
    client_time: float | None, page_start: float | None, largest: float | None, when: float | None
) -> None:
    offset = page_offset(NOW, client_time, page_start, largest)
    assert NOW - 300 <= call_time(offset, when, NOW) <= NOW


def test_the_largest_when_is_found_wherever_it_stands() -> None:
    body = b'{"Seq":1,"Evts":[{"When":7},{"When" : -3.5},{"When":1250.25,"Args":[]},{"When":9}]}'
    assert largest_when(body) == 1250.25
    assert largest_when(b'{"Evts":[{"Kind":1}]}') is None


def test_of_a_long_bundle_the_last_events_tell_and_without_any_time_there_all_of_it() -> None:
    long = b"x" * 2_000
    assert last_when(b'{"When":99}' + long + b'{"When":5}' + b" " * 900) == 5
    assert last_when(b'{"When":99}{"When":98}' + long) == 99
    assert last_when(long) is None


def test_the_last_events_are_those_of_the_last_1024_bytes() -> None:
    event = b'"When":5'
    assert last_when(b'"When":99 ' + event + b" " * (1024 - len(event))) == 5
    assert last_when(b'"When":99 ' + event + b" " * (1025 - len(event))) == 99
