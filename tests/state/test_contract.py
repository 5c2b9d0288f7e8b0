"""What every form of the ledger does: one suite, run over memory and over real servers, at injected times."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsproxy.core.limits.operations import (
    Admitted,
    Claim,
    Claimed,
    Move,
    NameKind,
    RateKind,
    Spend,
    Spent,
)
from fsproxy.core.model import Instant
from fsproxy.core.settings import RateSettings, Window
from support.ledgers import DAY, HOUR, MINUTE, NEW, ORG, START, Store, Visits, fresh_org

SEED_EVENT = RateSettings().event
KIND = NameKind.EVENT_NAME


def test_a_new_session_takes_one_unit_and_its_next_pages_none(store: Store) -> None:
    ledger = Visits(store)
    assert ledger.visit("t1", "s") == NEW
    assert ledger.visit("t2", "s") == Admitted(under_way=True, user_admitted=False, over_quota=False, used=1)


def test_at_the_limit_new_sessions_are_refused_and_those_under_way_go_on(store: Store) -> None:
    ledger = Visits(store, limit=1)
    ledger.visit("t1", "s1")
    assert ledger.page("t2", "s2") == Admitted(under_way=False, user_admitted=False, over_quota=True, used=1)
    assert ledger.page("t3", "s1").under_way
    assert ledger.used == 1


def test_a_limit_of_none_refuses_every_new_session(store: Store) -> None:
    assert Visits(store, limit=0).page("t1", "s").over_quota


def test_in_shadow_a_session_over_the_limit_is_counted_all_the_same(store: Store) -> None:
    ledger = Visits(store, limit=1, enforced=False)
    ledger.visit("t1", "s1")
    assert ledger.page("t2", "s2") == Admitted(under_way=False, user_admitted=False, over_quota=True, used=2)


def test_a_failed_page_gives_its_unit_back_and_its_session_is_new_again(store: Store) -> None:
    ledger = Visits(store, limit=1)
    ledger.page("t1", "s")
    ledger.failed("t1")
    assert ledger.used == 0
    assert ledger.page("t2", "s") == NEW


def test_a_release_after_the_answer_or_twice_gives_nothing_back(store: Store) -> None:
    ledger = Visits(store)
    ledger.visit("t1", "s")
    ledger.failed("t1")
    ledger.page("t2", "s2")
    ledger.failed("t2")
    ledger.failed("t2")
    assert ledger.used == 1


def test_a_session_that_the_upstream_calls_not_new_costs_nothing_and_is_under_way(store: Store) -> None:
    ledger = Visits(store, limit=1)
    ledger.page("t1", "s")
    ledger.answered("t1", ("s",), new=False)
    assert ledger.used == 0
    assert ledger.page("t2", "s").under_way


def test_a_reservation_lapses_after_60_seconds(store: Store) -> None:
    ledger = Visits(store, limit=1)
    ledger.page("t1", "s1")
    ledger.now += 59.875
    assert ledger.page("t2", "s2").over_quota
    ledger.now += 0.125
    assert ledger.page("t3", "s2") == NEW
    assert ledger.page("t4", "s1").over_quota


def test_before_anyone_is_refused_every_lapsed_unit_is_back(store: Store) -> None:
    ledger = Visits(store, limit=500)
    for n in range(500):
        ledger.page(f"t{n}", f"s{n}")
    ledger.now += 59
    assert ledger.page("early", "s").over_quota
    ledger.now += 1
    assert all(not ledger.page(f"u{n}", f"r{n}").over_quota for n in range(500))
    assert ledger.used == 500


def test_a_unit_that_lapsed_behind_many_others_is_back_too(store: Store) -> None:
    ledger = Visits(store, limit=1)
    for n in range(100):
        ledger.page(f"t{n}", org=f"other {n}")
    ledger.page("t", "s")
    ledger.now += 60
    assert ledger.page("u", "s2") == NEW


def test_a_session_whose_reservation_lapsed_behind_many_others_is_new(store: Store) -> None:
    ledger = Visits(store, limit=999)
    for n in range(100):
        ledger.page(f"t{n}", f"s{n}")
    ledger.now += 60
    assert not ledger.page("again", "s99").under_way


@pytest.mark.parametrize("limit", [1, 5])
def test_an_answer_after_the_reservation_lapsed_counts_even_over_the_limit(store: Store, limit: int) -> None:
    ledger = Visits(store, limit=limit)
    ledger.page("slow", "s1")
    ledger.now += 61
    ledger.visit("t2", "s2")
    ledger.answered("slow", ("s1",))
    assert ledger.used == 2
    assert ledger.page("t3", "s1").under_way


def test_a_late_answer_and_a_newer_reservation_of_the_same_session_count_once(store: Store) -> None:
    ledger = Visits(store, limit=9)
    ledger.page("slow", "s")
    ledger.now += 61
    assert ledger.page("again", "s") == NEW
    ledger.answered("slow", ("s",))
    assert ledger.used == 1
    ledger.answered("again", ("s",))
    assert ledger.used == 1


def test_a_late_answer_of_a_session_that_was_counted_meanwhile_counts_no_more(store: Store) -> None:
    ledger = Visits(store, limit=9)
    ledger.page("slow", "s")
    ledger.now += 61
    ledger.visit("again", "s")
    ledger.answered("slow", ("s",))
    assert ledger.used == 1


def test_two_pages_of_one_new_session_count_once(store: Store) -> None:
    ledger = Visits(store)
    assert ledger.page("t1", "s") == NEW
    assert ledger.page("t2", "s") == Admitted(under_way=True, user_admitted=False, over_quota=False, used=1)
    ledger.answered("t1", ("s",))
    ledger.answered("t2", ("s",), new=False)
    assert ledger.used == 1


def test_the_page_that_joined_may_be_answered_first(store: Store) -> None:
    ledger = Visits(store)
    ledger.page("t1", "s")
    ledger.page("t2", "s")
    ledger.answered("t2", ("s",), new=False)
    assert ledger.used == 1
    ledger.failed("t1")
    assert ledger.used == 1
    assert ledger.page("t3", "s").under_way


def test_one_page_failing_does_not_give_back_what_another_holds(store: Store) -> None:
    ledger = Visits(store)
    ledger.page("t1", "s")
    ledger.page("t2", "s")
    ledger.failed("t1")
    assert ledger.used == 1
    assert ledger.page("t3", "s").under_way
    ledger.failed("t2")
    ledger.failed("t3")
    assert ledger.used == 0
    assert not ledger.page("t4", "s").under_way


def test_joining_keeps_the_reservation_for_another_60_seconds(store: Store) -> None:
    ledger = Visits(store)
    ledger.page("t1", "s")
    ledger.now += 50
    ledger.page("t2", "s")
    ledger.now += 50
    assert ledger.page("t3", "s").under_way
    assert ledger.used == 1


def test_pages_without_any_id_reserve_apart_and_go_on_under_the_ids_of_the_answer(store: Store) -> None:
    """Builds of 2022 send no session id, and on a first visit no user id either (wire.md 1)."""
    ledger = Visits(store)
    assert not ledger.page("t1").under_way
    assert not ledger.page("t2").under_way
    ledger.answered("t1", ("S1",), ("U1",))
    assert ledger.used == 2
    assert ledger.page("t3", "", "U1").under_way
    assert ledger.page("t4", "S1").under_way
    ledger.failed("t2")
    assert ledger.used == 1


def test_the_ids_of_the_request_and_of_the_answer_are_one_session(store: Store) -> None:
    """Bundles use the answer's ids; they keep the request's under way too."""
    ledger = Visits(store)
    ledger.page("t1", "theirs")
    ledger.answered("t1", ("theirs", "ours"), ("u",))
    for _ in range(10):
        ledger.now += 20 * MINUTE
        ledger.bundle("ours")
    assert ledger.page("t2", "theirs").under_way
    assert ledger.page("t3", "ours").under_way
    ledger.now += 30 * MINUTE
    assert not ledger.page("t4", "theirs").under_way


def test_a_session_id_speaks_before_the_users(store: Store) -> None:
    ledger = Visits(store)
    ledger.visit("t1", "s1", "u")
    assert not ledger.page("t2", "s2", "u").under_way
    assert ledger.page("t3", "", "u").under_way


def test_session_and_user_ids_never_meet_nor_do_orgs(store: Store) -> None:
    ledger = Visits(store, limit=9)
    ledger.visit("t1", "same", "other")
    assert not ledger.page("t2", "", "same").under_way
    assert not ledger.page("t3", "other").under_way
    assert not ledger.page("t4", "same", org="o-2").under_way


def test_a_session_ends_after_30_minutes_without_activity(store: Store) -> None:
    ledger = Visits(store)
    ledger.visit("t1", "s")
    ledger.now += 30 * MINUTE - 0.125
    assert ledger.page("t2", "s").under_way
    ledger.now += 30 * MINUTE
    assert not ledger.page("t3", "s").under_way


def test_a_session_ends_after_24_hours_however_active(store: Store) -> None:
    ledger = Visits(store, limit=9)
    ledger.visit("t1", "s")
    begun = ledger.now
    while ledger.now < begun + DAY - 20 * MINUTE:
        ledger.now += 10 * MINUTE
        ledger.bundle("s")
    assert ledger.page("t2", "s").under_way
    while ledger.now < begun + 40 * HOUR:
        ledger.now += 10 * MINUTE
        ledger.bundle("s")
    assert not ledger.page("t3", "s").under_way
    ledger.answered("t3", ("s",))
    assert ledger.used == 2
    assert ledger.page("t4", "s").under_way


def test_a_session_does_not_outlive_its_24_hours_by_its_last_silence(store: Store) -> None:
    ledger = Visits(store, limit=9)
    ledger.bundle("s")
    for _ in range(71):
        ledger.now += 20 * MINUTE
        ledger.bundle("s")
    ledger.now += 20 * MINUTE - 0.125
    assert ledger.page("t1", "s").under_way
    ledger.now += 0.125
    assert not ledger.page("t2", "s").under_way


def test_a_visitors_24_hours_begin_with_each_new_session(store: Store) -> None:
    ledger = Visits(store, limit=9)
    ledger.visit("t1", "s1", "u")
    for n in range(60):
        ledger.now += 20 * MINUTE
        ledger.bundle("", "u")
        if n == 30:
            ledger.visit("t2", "s2", "u")
    for _ in range(20):
        ledger.now += 20 * MINUTE
        ledger.bundle("", "u")
    assert ledger.page("t3", "", "u").under_way


def test_a_bundle_of_an_unknown_session_puts_it_under_way_uncounted(store: Store) -> None:
    """After a restart, or of a build that sends bundles under ids of its own (wire.md 1)."""
    ledger = Visits(store, limit=0)
    ledger.bundle("s", "u")
    assert ledger.page("t1", "s").under_way
    assert ledger.page("t2", "", "u").under_way
    assert ledger.used == 0


def test_without_a_quota_sessions_are_known_all_the_same(store: Store) -> None:
    ledger = Visits(store, limit=None)
    assert ledger.page("t1", "s") == Admitted(under_way=False, user_admitted=False, over_quota=False)
    assert ledger.page("t2", "s").under_way
    ledger.answered("t1", ("s",))
    assert ledger.page("t3", "s") == Admitted(under_way=True, user_admitted=False, over_quota=False)


def test_an_answer_to_an_unknown_token_counts_nothing_and_marks_its_ids(store: Store) -> None:
    ledger = Visits(store)
    ledger.answered("never seen", ("s",), ("u",))
    assert ledger.used == 0
    assert ledger.page("t1", "s").under_way


def test_each_cycle_counts_for_itself_and_an_ended_one_is_forgotten(store: Store) -> None:
    ledger = Visits(store, limit=1)
    ledger.visit("t1", "s1")
    assert ledger.page("t2", "s2").over_quota
    ledger.now = ledger.ends
    ledger.cycle, ledger.ends = "2026-10-01", ledger.ends + 30 * DAY
    assert ledger.visit("t3", "s3") == NEW
    assert store.quota_usage(ORG) == {"2026-10-01": 1}


def test_a_unit_goes_back_to_the_cycle_that_it_came_from(store: Store) -> None:
    ledger = Visits(store)
    ledger.page("t1", "s1")
    ledger.cycle = "another"
    ledger.page("t2", "s2")
    ledger.failed("t1")
    assert store.quota_usage(ORG) == {"2026-09-01": 0, "another": 1}


def test_a_visitor_whom_ramping_leaves_out_reserves_nothing(store: Store) -> None:
    ledger = Visits(store)
    answer = ledger.page("t1", "s", "u", ramped_out=True)
    assert answer == Admitted(under_way=False, user_admitted=False, over_quota=False, used=0)
    assert not ledger.page("t2", "s", "u", ramped_out=True).under_way


def test_a_remembered_visitor_passes_ramping_for_at_least_400_days_from_the_last_new_session(store: Store) -> None:
    ledger = Visits(store, limit=None)
    ledger.page("t1", "s")
    ledger.answered("t1", ("s",), ("u",), remember_user=True)
    ledger.now += 300 * DAY
    assert ledger.page("t2", "s2", "u", ramped_out=True).user_admitted
    ledger.now += 399 * DAY
    assert ledger.page("t3", "s3", "u", ramped_out=True).user_admitted
    ledger.now += 500 * DAY
    assert not ledger.page("t4", "s4", "u", ramped_out=True).user_admitted


def test_a_visitor_is_remembered_by_each_share_alone(store: Store) -> None:
    ledger = Visits(store, limit=None)
    ledger.page("t1", "s")
    ledger.answered("t1", ("s",), ("u",), visitors=("rule\nu",))
    ledger.now += 300 * DAY
    by_ramping, by_share = (
        ledger.page(f"t{n}", f"s{n}", "u", ramped_out=n == 2, share_user="" if n == 2 else "rule\nu") for n in (2, 3)
    )
    assert (by_ramping.user_admitted, by_ramping.share_admitted) == (False, False)
    assert (by_share.user_admitted, by_share.share_admitted) == (False, True)
    assert ledger.page("t3", "s3").under_way  # it reserved
    assert not ledger.page("t4", "s4", "u", share_user="other\nu").share_admitted
    assert not ledger.page("t5", "s4", "u").under_way  # it did not


def test_a_session_under_way_passes_ramping(store: Store) -> None:
    ledger = Visits(store)
    ledger.visit("t1", "s", "u")
    assert ledger.page("t2", "s", "u", ramped_out=True).under_way


def test_ids_that_no_store_would_take_are_ids_like_others(store: Store) -> None:
    ledger = Visits(store)
    ledger.visit("t1", "\ud800\0" * 5_000, "\udfff")
    assert ledger.page("t2", "\ud800\0" * 5_000).under_way


def test_a_clock_that_steps_back_ends_no_session(store: Store) -> None:
    ledger = Visits(store)
    ledger.visit("t1", "s")
    ledger.now -= HOUR
    ledger.bundle("s")
    assert ledger.page("t2", "s").under_way


# Rates: both windows, exact and together, wherever on the timeline a call falls.


def spend(
    store: Store,
    at: float = 0.0,
    *,
    late: float = 0.0,
    session: str = "s",
    org: str = "o",
    kind: RateKind = RateKind.EVENT,
    windows: tuple[Window, ...] = SEED_EVENT,
) -> Spent:
    """A call made at ``at`` that comes ``late`` seconds after."""
    operation = Spend(org, session, kind, Instant(START + at), windows)
    (answer,) = store.ask((operation,), Instant(START + at + late))
    assert isinstance(answer, Spent)
    return answer


def test_ten_events_a_second_pass_and_the_next_says_when(store: Store) -> None:
    assert [spend(store).remaining for _ in range(10)] == list(range(9, -1, -1))
    assert spend(store, 0.25) == Spent(passed=False, retry_after=0.75)
    assert spend(store, 1.0).passed


def test_a_refused_call_spends_nothing_in_either_window(store: Store) -> None:
    for n in range(30):
        assert spend(store, n * 1.5).passed
    for n in range(50):
        assert not spend(store, 44.0 + n * 0.25).passed
    assert spend(store, 60.0).passed


def test_events_and_user_calls_and_sessions_are_limited_apart(store: Store) -> None:
    one = (Window(1, 1.0),)
    assert spend(store, windows=one).passed
    assert spend(store, windows=one, kind=RateKind.USER).passed
    assert spend(store, windows=one, session="other").passed
    assert not spend(store, windows=one).passed
    assert not spend(store, windows=one, kind=RateKind.USER).passed


def page_call(
    store: Store,
    when: float,
    began: float,
    *,
    page: str = "p",
    mark: int = 0,
    now: float = 500.0,
    windows: tuple[Window, ...] = SEED_EVENT,
) -> bool:
    """A call that was made ``when`` seconds after its page's start, which this upload takes to be ``began``."""
    operation = Spend("o", "s", RateKind.EVENT, Instant(START + began + when), windows, page, when * 1000, mark)
    (answer,) = store.ask((operation,), Instant(START + now))
    assert isinstance(answer, Spent)
    return answer.passed


def test_calls_of_a_page_keep_their_distances_whatever_each_upload_takes_its_start_for(store: Store) -> None:
    one = (Window(1, 1.0),)
    starts = [400.0, 300.0, 350.0, 299.9999, 400.0, 300.5]
    assert all(page_call(store, float(n), began, windows=one) for n, began in enumerate(starts))
    assert not any(page_call(store, n + 0.5, began, windows=one) for n, began in enumerate(starts))


def test_a_pages_calls_move_together_among_those_of_another(store: Store) -> None:
    for n in range(10):
        assert page_call(store, 0.0, 400.0, page="moves")
        assert page_call(store, 0.0, 100.0 + n, page="stays" + str(n))
    assert not page_call(store, 0.5, 400.0, page="other")
    assert page_call(store, 50.0, 106.0, page="moves")
    assert page_call(store, 0.5, 400.0, page="other")
    assert not page_call(store, 0.5, 106.0, page="another")


def test_a_page_moves_by_an_upload_without_calls_as_well(store: Store) -> None:
    for n in range(10):
        assert page_call(store, n / 100, 400.0, page="moves")
    store.ask((Move("o", "s", "moves", Instant(START + 106.0)),), Instant(START + 500.0))
    store.ask((Move("o", "s", "unknown", Instant(START)),), Instant(START + 500.0))
    store.ask((Move("o", "unknown", "moves", Instant(START)),), Instant(START + 500.0))
    assert page_call(store, 0.5, 400.0, page="other")
    assert not page_call(store, 0.5, 106.0, page="another")


def test_a_call_that_is_counted_already_passes_again_and_spends_nothing(store: Store) -> None:
    one = (Window(2, 1.0),)
    assert page_call(store, 0.0, 400.0, mark=7, windows=one)
    for _ in range(3):
        assert page_call(store, 0.0, 400.0, mark=7, windows=one)
    assert page_call(store, 0.0, 400.0, mark=8, windows=one)
    assert page_call(store, 0.0, 400.0, mark=7, windows=one)
    assert not page_call(store, 0.0, 400.0, mark=9, windows=one)
    assert not page_call(store, 0.0, 400.0, page="other", mark=7, windows=one)


def test_more_pages_than_a_session_has_calls_are_forgotten(store: Store) -> None:
    for n in range(100):
        assert page_call(store, 0.0, n * 100.0, page=f"p{n}", now=n * 100.0)
    assert all(page_call(store, 0.0, 9_900.0 + n / 100, page=f"q{n}", now=9_900.0) for n in range(9))
    assert not page_call(store, 0.0, 9_900.0, page="q", now=9_900.0)


def test_late_calls_are_judged_where_they_were_made(store: Store) -> None:
    """Ten calls of one second that come up to 5 minutes late fill that second, and no other."""
    assert spend(store, 400.0).passed
    assert all(spend(store, 110.0 + n / 16, late=290.0).passed for n in range(10))
    assert not spend(store, 110.5, late=290.0).passed
    assert spend(store, 400.5).passed


def test_a_late_call_may_not_break_a_window_that_ends_after_it(store: Store) -> None:
    for n in range(10):
        assert spend(store, 10.0 + n / 16).passed
    assert not spend(store, 9.75, late=5.0).passed
    assert spend(store, 9.5, late=5.0).passed


def test_what_a_late_call_may_still_meet_is_kept(store: Store) -> None:
    one = (Window(1, 60.0),)
    assert spend(store, 0.0, windows=one).passed
    assert spend(store, 200.0, windows=one).passed
    assert not spend(store, 199.0, late=201.0, windows=one).passed


eighth = st.integers(0, 8 * 120).map(lambda n: n / 8)
steps = st.lists(
    st.tuples(st.integers(0, 8 * 60).map(lambda n: n / 8), st.one_of(st.just(0.0), eighth), st.sampled_from("ab")),
    max_size=80,
)
limits = st.sampled_from([RateSettings().user, (Window(2, 1.0), Window(3, 20.0)), (Window(1, 60.0),)])


@given(steps, limits)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_timeline_agrees_with_brute_force(
    store: Store, sequence: list[tuple[float, float, str]], windows: tuple[Window, ...]
) -> None:
    """Time moves on, calls come up to 2 minutes late; nothing that is forgotten was needed."""
    org = fresh_org()
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
        assert spend(store, at, late=late, session=session, org=org, windows=windows).passed is fits
        if fits:
            accepted[session] = timeline


# Names: counted once, refused beyond the limit, forgotten when unseen.


def claim(
    store: Store, *names: str, org: str = "o", kind: NameKind = KIND, limit: int = 3, after: float = 0.0
) -> Claimed:
    (answer,) = store.ask((Claim(org, kind, names, limit, retention=100.0),), Instant(START + after))
    assert isinstance(answer, Claimed)
    return answer


def test_a_name_counts_once(store: Store) -> None:
    assert claim(store, "a", "b", "a") == Claimed(frozenset(), 2)
    assert claim(store, "a") == Claimed(frozenset(), 2)


def test_at_the_limit_known_names_pass_and_new_ones_are_refused(store: Store) -> None:
    claim(store, "a", "b", "c")
    assert claim(store, "a", "d", "c", "e") == Claimed(frozenset({"d", "e"}), 3)


def test_a_lowered_limit_keeps_what_is_known(store: Store) -> None:
    claim(store, "a", "b", "c")
    assert claim(store, "a", "d", limit=1) == Claimed(frozenset({"d"}), 3)


def test_a_name_is_forgotten_once_unseen_for_the_retention(store: Store) -> None:
    claim(store, "a", "b", "c")
    claim(store, "b", after=50.0)
    assert claim(store, "d", after=99.875) == Claimed(frozenset({"d"}), 3)
    assert claim(store, "d", "e", after=100.0) == Claimed(frozenset(), 3)
    assert claim(store, "a", after=100.0) == Claimed(frozenset({"a"}), 3)


def test_what_was_new_and_what_was_refused_is_told_of_the_newest_last(store: Store) -> None:
    claim(store, "a", "b")
    claim(store, "b", "x" * 100, "d", after=1.0)
    claim(store, "e", "d", "a", after=2.0)
    long = "x" * 100
    assert list(store.recent_names.newest("o", NameKind.EVENT_NAME)) == ["a", "b", long]
    refused = store.recent_names.newest_refused("o", NameKind.EVENT_NAME)
    assert set(list(refused)[-2:]) == {"d", "e"}
    assert set(refused.values()) == {store.recent_names.newest_refused("o", NameKind.EVENT_NAME)["d"]}
    assert store.recent_names.newest("o", NameKind.USER_PROPERTY) == {}


def test_kinds_and_orgs_count_apart(store: Store) -> None:
    claim(store, "a", "b", "c")
    assert claim(store, "d", kind=NameKind.USER_PROPERTY) == Claimed(frozenset(), 1)
    assert claim(store, "d", org="o2") == Claimed(frozenset(), 1)
    assert store.names_usage("o") == {
        NameKind.USER_PROPERTY: 1,
        NameKind.EVENT_NAME: 3,
        NameKind.EVENT_PROPERTY: 0,
        NameKind.PAGE_PROPERTY: 0,
        NameKind.PAGE_NAME: 0,
    }
    assert store.names_usage("unknown") == dict.fromkeys(NameKind, 0)


def test_long_names_are_told_apart_and_cost_no_more(store: Store) -> None:
    long = "\ud800" + "x" * 100_000
    assert claim(store, long + "a", long + "b", limit=1).refused == {long + "b"}
    assert claim(store, long + "a", limit=1).refused == frozenset()


moves = st.lists(
    st.tuples(st.lists(st.sampled_from("abcdefgh"), max_size=4), st.sampled_from([0.0, 1.0, 40.0, 99.0, 100.0])),
    max_size=40,
)


@given(moves)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_agrees_with_a_plain_model(store: Store, sequence: list[tuple[list[str], float]]) -> None:
    org = fresh_org()
    seen: dict[str, float] = {}
    now = 0.0
    for names, gap in sequence:
        now += gap
        seen = {name: last for name, last in seen.items() if now - last < 100}
        refused = set()
        for name in names:
            if name in seen or len(seen) < 3:
                seen[name] = now
            else:
                refused.add(name)
        assert claim(store, *names, org=org, after=now) == Claimed(frozenset(refused), len(seen))
