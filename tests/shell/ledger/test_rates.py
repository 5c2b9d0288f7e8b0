"""Rates: both windows, exact and together, wherever on the timeline a call falls."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.limits.operations import RateKind, Spend, Spent
from fsproxy.core.model import Instant
from fsproxy.core.settings import RateSettings, Window
from fsproxy.shell.ledger import Bounds, MemoryLedger

START = 1_790_000_000.0
SEED_EVENT = RateSettings().event


def spend(
    ledger: MemoryLedger,
    at: float = 0.0,
    *,
    late: float = 0.0,
    session: str = "s",
    kind: RateKind = RateKind.EVENT,
    windows: tuple[Window, ...] = SEED_EVENT,
) -> Spent:
    """A call made at ``at`` that comes ``late`` seconds after."""
    operation = Spend("o", session, kind, Instant(START + at), windows)
    (answer,) = ledger.try_now((operation,), Instant(START + at + late))
    assert isinstance(answer, Spent)
    return answer


def test_ten_events_a_second_pass_and_the_next_says_when() -> None:
    ledger = MemoryLedger()
    assert [spend(ledger).remaining for _ in range(10)] == list(range(9, -1, -1))
    assert spend(ledger, 0.25) == Spent(passed=False, retry_after=0.75)
    assert spend(ledger, 1.0).passed


def test_a_refused_call_spends_nothing_in_either_window() -> None:
    ledger = MemoryLedger()
    for n in range(30):
        assert spend(ledger, n * 1.5).passed
    for n in range(50):
        assert not spend(ledger, 44.0 + n * 0.25).passed
    assert spend(ledger, 60.0).passed


def test_events_and_user_calls_and_sessions_are_limited_apart() -> None:
    ledger = MemoryLedger()
    one = (Window(1, 1.0),)
    assert spend(ledger, windows=one).passed
    assert spend(ledger, windows=one, kind=RateKind.USER).passed
    assert spend(ledger, windows=one, session="other").passed
    assert not spend(ledger, windows=one).passed
    assert not spend(ledger, windows=one, kind=RateKind.USER).passed


def test_late_calls_are_judged_where_they_were_made() -> None:
    """Ten calls of one second that come up to 5 minutes late fill that second, and no other."""
    ledger = MemoryLedger()
    assert spend(ledger, 400.0).passed
    assert all(spend(ledger, 110.0 + n / 16, late=290.0).passed for n in range(10))
    assert not spend(ledger, 110.5, late=290.0).passed
    assert spend(ledger, 400.5).passed


def test_a_late_call_may_not_break_a_window_that_ends_after_it() -> None:
    ledger = MemoryLedger()
    for n in range(10):
        assert spend(ledger, 10.0 + n / 16).passed
    assert not spend(ledger, 9.75, late=5.0).passed
    assert spend(ledger, 9.5, late=5.0).passed


def test_what_a_late_call_may_still_meet_is_kept() -> None:
    ledger = MemoryLedger()
    one = (Window(1, 60.0),)
    assert spend(ledger, 0.0, windows=one).passed
    assert spend(ledger, 200.0, windows=one).passed
    assert not spend(ledger, 199.0, late=201.0, windows=one).passed


def test_without_windows_nothing_is_kept() -> None:
    ledger = MemoryLedger()
    assert spend(ledger, windows=()).passed
    assert ledger.usage().rates == 0


def test_sessions_that_fell_silent_are_forgotten() -> None:
    ledger = MemoryLedger()
    for n in range(500):
        spend(ledger, n / 100, session=f"s{n}")
    for n in range(300):
        spend(ledger, 500.0 + n, session="last")
    assert ledger.usage().rates == 1


def test_too_many_sessions_lose_the_one_that_called_longest_ago() -> None:
    ledger = MemoryLedger(Bounds(rates=2))
    one = (Window(1, 300.0),)
    for n, session in enumerate(("a", "b", "c")):
        spend(ledger, n * 60.0, session=session, windows=one)
    assert not spend(ledger, 180.0, session="b", windows=one).passed
    assert spend(ledger, 180.0, session="a", windows=one).passed
    assert ledger.usage().evicted["rates"] == 2


eighth = st.integers(0, 8 * 120).map(lambda n: n / 8)
steps = st.lists(
    st.tuples(st.integers(0, 8 * 60).map(lambda n: n / 8), st.one_of(st.just(0.0), eighth), st.sampled_from("ab")),
    max_size=80,
)
limits = st.sampled_from([RateSettings().user, (Window(2, 1.0), Window(3, 20.0)), (Window(1, 60.0),)])


@given(steps, limits)
@settings(max_examples=150, deadline=None)
def test_any_timeline_agrees_with_brute_force(
    sequence: list[tuple[float, float, str]], windows: tuple[Window, ...]
) -> None:
    """Time moves on, calls come up to 2 minutes late; nothing that is forgotten was needed."""
    ledger = MemoryLedger()
    accepted: dict[str, list[float]] = {"a": [], "b": []}
    now = 0.0
    for gap, late, session in sequence:
        now += gap
        at = now - late
        timeline = sorted([*accepted[session], at])
        fits = all(
            sum(end - window.seconds < other <= end for other in timeline) <= window.limit
            for window in windows
            for end in timeline
        )
        assert spend(ledger, at, late=late, session=session, windows=windows).passed is fits
        if fits:
            accepted[session] = timeline
