"""The window arithmetic, against brute force."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

import limits.storage.memory
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from fsproxy.core.limits import rate
from fsproxy.core.limits.operations import RateKind, Spend, Spent
from fsproxy.core.limits.rate import by_log, horizon, in_microseconds, microseconds, rate_headers, retry_after
from fsproxy.core.model import Instant
from fsproxy.core.settings import RateSettings, Window

SEED_EVENT = RateSettings().event
SEED_USER = RateSettings().user
START = 1_790_000_000.0

# Eighths of a second are exact in a float, so that boundaries are met and not only approached.
eighths = st.integers(0, 8 * 200).map(lambda n: n / 8)
windows_of_seed = st.sampled_from([SEED_EVENT, SEED_USER])
odd_windows = st.lists(
    st.builds(Window, st.integers(1, 4), st.sampled_from([0.5, 1.0, 3.0, 10.0])), min_size=1, max_size=3
).map(tuple)


def at(seconds: float) -> Instant:
    return Instant(START + seconds)


def micros(times: Sequence[float]) -> list[int]:
    return [microseconds(each) for each in times]


def decide_call(times: Sequence[float], at: float, windows: tuple[Window, ...]) -> Spent:
    """The same in seconds."""
    return rate.decide_call(micros(times), microseconds(at), in_microseconds(windows))[0]


def holds(times: list[float], windows: tuple[Window, ...]) -> bool:
    """Brute force: every half-open window that ends in a call holds no more than its limit."""
    return all(
        sum(1 for other in times if end - window.seconds < other <= end) <= window.limit
        for window in windows
        for end in times
    )


@given(st.lists(eighths, max_size=60), st.one_of(windows_of_seed, odd_windows))
@settings(max_examples=200)
def test_a_call_passes_exactly_when_no_window_anywhere_breaks_its_limit(
    timeline: list[float], windows: tuple[Window, ...]
) -> None:
    accepted: list[float] = []
    for each in timeline:
        spent = decide_call(accepted, at(each), windows)
        assert spent.passed is holds(sorted([*accepted, at(each)]), windows)
        if spent.passed:
            insort(accepted, at(each))


@given(st.lists(eighths, min_size=1, max_size=60), odd_windows)
@settings(max_examples=150)
def test_retry_after_is_the_first_moment_that_passes(timeline: list[float], windows: tuple[Window, ...]) -> None:
    accepted: list[float] = []
    for each in timeline:
        spent = decide_call(accepted, at(each), windows)
        if spent.passed:
            assert spent.retry_after == 0
            insort(accepted, at(each))
            continue
        assert holds(sorted([*accepted, at(each + spent.retry_after)]), windows)
        # Times are eighths of a second and windows too, so nothing can come free between two of them.
        for earlier in range(int(spent.retry_after * 8)):
            assert not holds(sorted([*accepted, at(each + earlier / 8)]), windows)


class Clock:
    """Stands in the library's module where it looks up the time."""

    def __init__(self) -> None:
        self.now = START

    def time(self) -> float:
        return self.now


@given(st.lists(st.integers(0, 40).map(lambda n: n / 8), max_size=100))
@settings(max_examples=100)
def test_in_order_each_window_agrees_with_the_limits_library(gaps: list[float]) -> None:
    """One window at a time: of two, the library spends the first even if the second refuses."""
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(limits.storage.memory, "time", clock)
        theirs = MovingWindowRateLimiter(MemoryStorage())
        for window, item in (
            (SEED_EVENT[0], RateLimitItemPerSecond(10)),
            (SEED_EVENT[1], RateLimitItemPerMinute(30)),
        ):
            accepted: list[float] = []
            for gap in gaps:
                # The 1024th keeps calls off the exact boundary, which the library counts as inside.
                clock.now += gap + 1 / 1024
                spent = decide_call(accepted, Instant(clock.now), (window,))
                assert spent.passed is theirs.hit(item, "session")
                if spent.passed:
                    accepted.append(clock.now)


def test_two_calls_exactly_one_window_apart_share_no_window() -> None:
    window = (Window(1, 1.0),)
    assert decide_call([START], at(1.0), window).passed
    assert not decide_call([START], at(0.875), window).passed


def test_a_late_call_must_fit_with_the_calls_after_it() -> None:
    later = [START + n / 10 for n in range(1, 11)]
    assert not decide_call(later, at(0.5), SEED_EVENT).passed
    assert not decide_call(later, at(0.05), SEED_EVENT).passed
    assert decide_call(later, at(0.0), SEED_EVENT).passed


def test_the_burst_of_the_seed_passes_and_the_next_call_does_not() -> None:
    accepted: list[float] = []
    for n in range(10):
        spent = decide_call(accepted, at(0), SEED_EVENT)
        assert spent == Spent(passed=True, remaining=9 - n)
        accepted.append(START)
    assert decide_call(accepted, at(0), SEED_EVENT) == Spent(passed=False, retry_after=1.0)


def test_remaining_is_that_of_the_tightest_window() -> None:
    accepted = [START + 2 * n for n in range(28)]
    assert decide_call(accepted, at(56), SEED_EVENT).remaining == 1


def test_a_window_of_none_lets_nothing_pass_and_asks_for_its_length() -> None:
    spent = decide_call([], at(0), (Window(0, 5.0), Window(3, 60.0)))
    assert spent == Spent(passed=False, retry_after=5.0)


def test_without_windows_every_call_passes() -> None:
    assert decide_call([START] * 100, at(0), ()).passed


def test_a_retry_is_found_where_floats_round_the_wrong_way() -> None:
    start = START + 0.1
    spent = decide_call([start], Instant(start + 0.05), (Window(1, 0.3),))
    assert decide_call([start], Instant(start + 0.05 + spent.retry_after + 1e-6), (Window(1, 0.3),)).passed


@pytest.mark.parametrize("waits", [True, False])
def test_a_client_that_does_not_wait_learns_the_end_of_the_first_full_window(*, waits: bool) -> None:
    """Two full windows in a row. Times are microseconds."""
    limits, times = ((1, 1_000_000),), (0, 1_000_000)
    spent, barred = rate.decide_call(times, 500_000, limits, (-999_999, 999_999), waits=waits)
    assert spent == Spent(passed=False, retry_after=1.5 if waits else 0.5)
    assert barred == (-999_999, 1_999_999 if waits else 999_999)


def test_a_full_window_that_goes_on_for_a_microsecond_is_waited_for() -> None:
    """The caller knows what the first two calls bar, and then the third one was counted."""
    limits, times, known = ((2, 1_000_000),), (0, 1, 1_000_000), (-999_998, 999_999)
    spent, barred = rate.decide_call(times, 500_000, limits, known)
    assert (spent.retry_after, barred) == (0.500001, (-999_998, 1_000_000))
    for at, passes in ((1_000_000, False), (1_000_001, True)):
        assert rate.decide_call(times, at, limits)[0].passed is passes


def test_windows_of_a_page_count_for_it_where_a_call_has_one_and_all_others_for_the_session() -> None:
    session, of_page = Window(5, 1.0), Window(3, 60.0, per_page=True)
    spend = Spend("o", "s", RateKind.EVENT, at(0), (of_page, session), of_page="p")
    assert by_log(spend) == ([session], [of_page])
    assert by_log(msgspec.structs.replace(spend, of_page="")) == ([of_page, session], [])


def test_calls_are_kept_for_the_longest_window_and_the_lateness() -> None:
    assert horizon(SEED_EVENT) == 660
    assert horizon(()) == 600


def test_the_headers_of_a_call_that_passed_name_all_windows_and_the_tightest() -> None:
    assert rate_headers(SEED_EVENT, Spent(passed=True, remaining=4)) == (
        ("RateLimit-Policy", '"1s";q=10;w=1, "60s";q=30;w=60'),
        ("RateLimit", '"1s";r=4'),
    )
    assert rate_headers(SEED_EVENT, Spent(passed=True, remaining=12))[1] == ("RateLimit", '"60s";r=12')


def test_the_headers_of_a_refused_call_say_when_to_come_back() -> None:
    assert rate_headers(SEED_USER, Spent(passed=False, retry_after=31.2)) == (
        ("RateLimit-Policy", '"1s";q=5;w=1, "60s";q=12;w=60'),
        ("RateLimit", '"60s";r=0;t=32'),
        ("Retry-After", "32"),
    )
    assert rate_headers(SEED_USER, Spent(passed=False, retry_after=1.0))[1] == ("RateLimit", '"1s";r=0;t=1')
    assert rate_headers(SEED_USER, Spent(passed=False, retry_after=0.25))[1] == ("RateLimit", '"1s";r=0;t=1')


def test_retry_after_is_whole_seconds_and_never_zero() -> None:
    assert retry_after(Spent(passed=False, retry_after=0.001)) == "1"
    assert retry_after(Spent(passed=False, retry_after=1.0)) == "1"
    assert retry_after(Spent(passed=False, retry_after=1.01)) == "2"


def test_without_windows_there_are_no_headers() -> None:
    assert rate_headers((), Spent(passed=True)) == ()


def test_the_headers_of_a_call_that_passed_name_the_window_of_which_so_much_is_left() -> None:
    windows = (Window(5, 1.0), Window(30, 60.0))
    for remaining, name in ((4, "1s"), (5, "60s"), (29, "60s"), (30, "60s")):
        headers = dict(rate_headers(windows, Spent(passed=True, remaining=remaining)))
        assert headers["RateLimit"] == f'"{name}";r={remaining}'


def test_the_headers_of_a_call_that_no_window_can_explain_name_the_longest() -> None:
    windows = (Window(1, 1.0), Window(2, 60.0), Window(3, 10.0))
    refused = dict(rate_headers(windows, Spent(passed=False, retry_after=90.0)))
    assert refused["RateLimit"] == '"60s";r=0;t=90'
    passed = dict(rate_headers(windows, Spent(passed=True, remaining=7)))
    assert passed["RateLimit"] == '"60s";r=7'
