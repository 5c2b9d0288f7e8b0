"""Sessions under way, reservations, ramping's visitors: the memory form, at injected times."""

from __future__ import annotations

import pytest

from fsproxy.core.limits.operations import Admit, Admitted, Confirm, Mark, QuotaTerms, Release
from fsproxy.core.model import Instant
from fsproxy.shell.ledger import Bounds, MemoryLedger

START = 1_790_000_000.0
ORG = "o-1ABC-na1"
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


class Ledger:
    """One ledger at a time that moves, in few words."""

    def __init__(self, *, limit: int | None = 2, enforced: bool = True, bounds: Bounds | None = None) -> None:
        self.memory = MemoryLedger(bounds)
        self.now = START
        self.limit = limit
        self.enforced = enforced
        self.cycle = "2026-09-01"
        self.ends = START + 20 * DAY

    def page(
        self, token: str, session: str = "", user: str = "", *, ramped_out: bool = False, org: str = ORG
    ) -> Admitted:
        quota = None
        if self.limit is not None:
            quota = QuotaTerms(self.cycle, self.limit, Instant(self.ends), self.enforced)
        answers = self.memory.try_now((Admit(org, token, session, user, ramped_out, quota),), Instant(self.now))
        assert isinstance(answers[0], Admitted)
        return answers[0]

    def answered(
        self,
        token: str,
        sessions: tuple[str, ...] = (),
        users: tuple[str, ...] = (),
        *,
        new: bool = True,
        remember_user: bool = False,
    ) -> None:
        operation = Confirm(ORG, token, sessions, users, new, remember_user)
        assert self.memory.try_now((operation,), Instant(self.now)) == (None,)

    def failed(self, token: str) -> None:
        assert self.memory.try_now((Release(ORG, token),), Instant(self.now)) == (None,)

    def bundle(self, session: str = "", user: str = "") -> None:
        assert self.memory.try_now((Mark(ORG, session, user),), Instant(self.now)) == (None,)

    def visit(self, token: str, session: str = "", user: str = "") -> Admitted:
        """A page and, a moment later, its answer under the same ids."""
        admitted = self.page(token, session, user)
        self.now += 0.125
        sessions, users = ((each,) if each else () for each in (session, user))
        self.answered(token, sessions, users, new=not admitted.under_way)
        return admitted

    @property
    def used(self) -> int:
        return self.memory.quota_usage(ORG).get(self.cycle, 0)


NEW = Admitted(under_way=False, user_admitted=False, over_quota=False, used=1)


def test_a_new_session_takes_one_unit_and_its_next_pages_none() -> None:
    ledger = Ledger()
    assert ledger.visit("t1", "s") == NEW
    assert ledger.visit("t2", "s") == Admitted(under_way=True, user_admitted=False, over_quota=False, used=1)


def test_at_the_limit_new_sessions_are_refused_and_those_under_way_go_on() -> None:
    ledger = Ledger(limit=1)
    ledger.visit("t1", "s1")
    assert ledger.page("t2", "s2") == Admitted(under_way=False, user_admitted=False, over_quota=True, used=1)
    assert ledger.page("t3", "s1").under_way
    assert ledger.used == 1


def test_a_limit_of_none_refuses_every_new_session() -> None:
    assert Ledger(limit=0).page("t1", "s").over_quota


def test_in_shadow_a_session_over_the_limit_is_counted_all_the_same() -> None:
    ledger = Ledger(limit=1, enforced=False)
    ledger.visit("t1", "s1")
    assert ledger.page("t2", "s2") == Admitted(under_way=False, user_admitted=False, over_quota=True, used=2)


def test_a_failed_page_gives_its_unit_back_and_its_session_is_new_again() -> None:
    ledger = Ledger(limit=1)
    ledger.page("t1", "s")
    ledger.failed("t1")
    assert ledger.used == 0
    assert ledger.page("t2", "s") == NEW


def test_a_release_after_the_answer_or_twice_gives_nothing_back() -> None:
    ledger = Ledger()
    ledger.visit("t1", "s")
    ledger.failed("t1")
    ledger.page("t2", "s2")
    ledger.failed("t2")
    ledger.failed("t2")
    assert ledger.used == 1


def test_a_session_that_the_upstream_calls_not_new_costs_nothing_and_is_under_way() -> None:
    ledger = Ledger(limit=1)
    ledger.page("t1", "s")
    ledger.answered("t1", ("s",), new=False)
    assert ledger.used == 0
    assert ledger.page("t2", "s").under_way


def test_a_reservation_lapses_after_60_seconds() -> None:
    ledger = Ledger(limit=1)
    ledger.page("t1", "s1")
    ledger.now += 59.875
    assert ledger.page("t2", "s2").over_quota
    ledger.now += 0.125
    assert ledger.page("t3", "s2") == NEW
    assert ledger.page("t4", "s1").over_quota


def test_before_anyone_is_refused_every_lapsed_unit_is_back() -> None:
    ledger = Ledger(limit=500)
    for n in range(500):
        ledger.page(f"t{n}", f"s{n}")
    ledger.now += 59
    assert ledger.page("early", "s").over_quota
    ledger.now += 1
    assert all(not ledger.page(f"u{n}", f"r{n}").over_quota for n in range(500))
    assert ledger.used == 500


def test_a_unit_that_lapsed_behind_many_others_is_back_too() -> None:
    ledger = Ledger(limit=1)
    for n in range(100):
        ledger.page(f"t{n}", org=f"other {n}")
    ledger.page("t", "s")
    ledger.now += 60
    assert ledger.page("u", "s2") == NEW


def test_a_session_whose_reservation_lapsed_behind_many_others_is_new() -> None:
    ledger = Ledger(limit=999)
    for n in range(100):
        ledger.page(f"t{n}", f"s{n}")
    ledger.now += 60
    assert not ledger.page("again", "s99").under_way


@pytest.mark.parametrize("limit", [1, 5])
def test_an_answer_after_the_reservation_lapsed_counts_even_over_the_limit(limit: int) -> None:
    ledger = Ledger(limit=limit)
    ledger.page("slow", "s1")
    ledger.now += 61
    ledger.visit("t2", "s2")
    ledger.answered("slow", ("s1",))
    assert ledger.used == 2
    assert ledger.page("t3", "s1").under_way


def test_a_late_answer_and_a_newer_reservation_of_the_same_session_count_once() -> None:
    ledger = Ledger(limit=9)
    ledger.page("slow", "s")
    ledger.now += 61
    assert ledger.page("again", "s") == NEW
    ledger.answered("slow", ("s",))
    assert ledger.used == 1
    ledger.answered("again", ("s",))
    assert ledger.used == 1


def test_a_late_answer_of_a_session_that_was_counted_meanwhile_counts_no_more() -> None:
    ledger = Ledger(limit=9)
    ledger.page("slow", "s")
    ledger.now += 61
    ledger.visit("again", "s")
    ledger.answered("slow", ("s",))
    assert ledger.used == 1


def test_two_pages_of_one_new_session_count_once() -> None:
    ledger = Ledger()
    assert ledger.page("t1", "s") == NEW
    assert ledger.page("t2", "s") == Admitted(under_way=True, user_admitted=False, over_quota=False, used=1)
    ledger.answered("t1", ("s",))
    ledger.answered("t2", ("s",), new=False)
    assert ledger.used == 1


def test_the_page_that_joined_may_be_answered_first() -> None:
    ledger = Ledger()
    ledger.page("t1", "s")
    ledger.page("t2", "s")
    ledger.answered("t2", ("s",), new=False)
    assert ledger.used == 1
    ledger.failed("t1")
    assert ledger.used == 1
    assert ledger.page("t3", "s").under_way


def test_one_page_failing_does_not_give_back_what_another_holds() -> None:
    ledger = Ledger()
    ledger.page("t1", "s")
    ledger.page("t2", "s")
    ledger.failed("t1")
    assert ledger.used == 1
    assert ledger.page("t3", "s").under_way
    ledger.failed("t2")
    ledger.failed("t3")
    assert ledger.used == 0
    assert not ledger.page("t4", "s").under_way


def test_joining_keeps_the_reservation_for_another_60_seconds() -> None:
    ledger = Ledger()
    ledger.page("t1", "s")
    ledger.now += 50
    ledger.page("t2", "s")
    ledger.now += 50
    assert ledger.page("t3", "s").under_way
    assert ledger.used == 1


def test_pages_without_any_id_reserve_apart_and_go_on_under_the_ids_of_the_answer() -> None:
    """Builds of 2022 send no session id, and on a first visit no user id either (wire.md 1)."""
    ledger = Ledger()
    assert not ledger.page("t1").under_way
    assert not ledger.page("t2").under_way
    ledger.answered("t1", ("S1",), ("U1",))
    assert ledger.used == 2
    assert ledger.page("t3", "", "U1").under_way
    assert ledger.page("t4", "S1").under_way
    ledger.failed("t2")
    assert ledger.used == 1


def test_the_ids_of_the_request_and_of_the_answer_are_one_session() -> None:
    """Bundles use the answer's ids; they keep the request's under way too."""
    ledger = Ledger()
    ledger.page("t1", "theirs")
    ledger.answered("t1", ("theirs", "ours"), ("u",))
    for _ in range(10):
        ledger.now += 20 * MINUTE
        ledger.bundle("ours")
    assert ledger.page("t2", "theirs").under_way
    assert ledger.page("t3", "ours").under_way
    ledger.now += 30 * MINUTE
    assert not ledger.page("t4", "theirs").under_way


def test_a_session_id_speaks_before_the_users() -> None:
    ledger = Ledger()
    ledger.visit("t1", "s1", "u")
    assert not ledger.page("t2", "s2", "u").under_way
    assert ledger.page("t3", "", "u").under_way


def test_session_and_user_ids_never_meet_nor_do_orgs() -> None:
    ledger = Ledger(limit=9)
    ledger.visit("t1", "same", "other")
    assert not ledger.page("t2", "", "same").under_way
    assert not ledger.page("t3", "other").under_way
    assert not ledger.page("t4", "same", org="o-2").under_way


def test_a_session_ends_after_30_minutes_without_activity() -> None:
    ledger = Ledger()
    ledger.visit("t1", "s")
    ledger.now += 30 * MINUTE - 0.125
    assert ledger.page("t2", "s").under_way
    ledger.now += 30 * MINUTE
    assert not ledger.page("t3", "s").under_way


def test_a_session_ends_after_24_hours_however_active() -> None:
    ledger = Ledger(limit=9)
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


def test_a_session_does_not_outlive_its_24_hours_by_its_last_silence() -> None:
    ledger = Ledger(limit=9)
    ledger.bundle("s")
    for _ in range(71):
        ledger.now += 20 * MINUTE
        ledger.bundle("s")
    ledger.now += 20 * MINUTE - 0.125
    assert ledger.page("t1", "s").under_way
    ledger.now += 0.125
    assert not ledger.page("t2", "s").under_way


def test_a_visitors_24_hours_begin_with_each_new_session() -> None:
    ledger = Ledger(limit=9)
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


def test_a_bundle_of_an_unknown_session_puts_it_under_way_uncounted() -> None:
    """After a restart, or of a build that sends bundles under ids of its own (wire.md 1)."""
    ledger = Ledger(limit=0)
    ledger.bundle("s", "u")
    assert ledger.page("t1", "s").under_way
    assert ledger.page("t2", "", "u").under_way
    assert ledger.used == 0


def test_without_a_quota_sessions_are_known_all_the_same() -> None:
    ledger = Ledger(limit=None)
    assert ledger.page("t1", "s") == Admitted(under_way=False, user_admitted=False, over_quota=False)
    assert ledger.page("t2", "s").under_way
    ledger.answered("t1", ("s",))
    assert ledger.page("t3", "s") == Admitted(under_way=True, user_admitted=False, over_quota=False)


def test_an_answer_to_an_unknown_token_counts_nothing_and_marks_its_ids() -> None:
    ledger = Ledger()
    ledger.answered("never seen", ("s",), ("u",))
    assert ledger.used == 0
    assert ledger.page("t1", "s").under_way


def test_each_cycle_counts_for_itself_and_an_ended_one_is_forgotten() -> None:
    ledger = Ledger(limit=1)
    ledger.visit("t1", "s1")
    assert ledger.page("t2", "s2").over_quota
    ledger.now = ledger.ends
    ledger.cycle, ledger.ends = "2026-10-01", ledger.ends + 30 * DAY
    assert ledger.visit("t3", "s3") == NEW
    assert ledger.memory.quota_usage(ORG) == {"2026-10-01": 1}


def test_a_unit_goes_back_to_the_cycle_that_it_came_from() -> None:
    ledger = Ledger()
    ledger.page("t1", "s1")
    ledger.cycle = "another"
    ledger.page("t2", "s2")
    ledger.failed("t1")
    assert ledger.memory.quota_usage(ORG) == {"2026-09-01": 0, "another": 1}


def test_a_visitor_whom_ramping_leaves_out_reserves_nothing() -> None:
    ledger = Ledger()
    answer = ledger.page("t1", "s", "u", ramped_out=True)
    assert answer == Admitted(under_way=False, user_admitted=False, over_quota=False, used=0)
    assert not ledger.page("t2", "s", "u", ramped_out=True).under_way


def test_a_remembered_visitor_passes_ramping_for_400_days_from_the_last_new_session() -> None:
    ledger = Ledger(limit=None)
    ledger.page("t1", "s")
    ledger.answered("t1", ("s",), ("u",), remember_user=True)
    ledger.now += 300 * DAY
    assert ledger.page("t2", "s2", "u", ramped_out=True).user_admitted
    ledger.now += 399 * DAY
    assert ledger.page("t3", "s3", "u", ramped_out=True).user_admitted
    ledger.now += 400 * DAY
    assert not ledger.page("t4", "s4", "u", ramped_out=True).user_admitted


def test_a_session_under_way_passes_ramping() -> None:
    ledger = Ledger()
    ledger.visit("t1", "s", "u")
    assert ledger.page("t2", "s", "u", ramped_out=True).under_way


def test_ids_that_no_store_would_take_are_ids_like_others() -> None:
    ledger = Ledger()
    ledger.visit("t1", "\ud800\0" * 5_000, "\udfff")
    assert ledger.page("t2", "\ud800\0" * 5_000).under_way


def test_full_the_session_active_longest_ago_goes_first_and_is_counted() -> None:
    ledger = Ledger(limit=None, bounds=Bounds(ids=3))
    for session in ("s1", "s2", "s3"):
        ledger.bundle(session)
        ledger.now += 2 * MINUTE
    ledger.bundle("s1")
    ledger.bundle("s4")
    assert [ledger.page(f"t{s}", s).under_way for s in ("s1", "s2", "s3", "s4")] == [True, False, True, True]
    assert ledger.memory.usage().ids == 3
    assert ledger.memory.usage().evicted["ids"] == 1


def test_too_many_reservations_lapse_early_and_are_counted_again_by_their_answers() -> None:
    ledger = Ledger(limit=99, bounds=Bounds(reservations=3))
    for n in range(6):
        ledger.page(f"t{n}", f"s{n}")
    assert ledger.memory.usage().reservations <= 4
    assert ledger.memory.usage().evicted["reservations"] >= 2
    ledger.answered("t0", ("s0",))
    assert ledger.page("x", "s0").under_way
    before = ledger.used
    ledger.answered("t1", ("s1",))
    assert ledger.used == before + 1


def test_too_many_orgs_lose_the_count_that_was_asked_for_longest_ago() -> None:
    ledger = Ledger(bounds=Bounds(orgs=2))
    for org in ("o1", "o2", "o1", "o3"):
        ledger.page(f"t {org} {ledger.now}", "", "", org=org)
        ledger.now += 1
    assert ledger.memory.quota_usage("o1") == {ledger.cycle: 2}
    assert ledger.memory.quota_usage("o2") == {}
    assert ledger.memory.usage().evicted["orgs"] == 1


def test_what_is_over_is_forgotten_while_others_go_on() -> None:
    ledger = Ledger(limit=None)
    for n in range(1_000):
        ledger.bundle(f"s{n}", f"u{n}")
    ledger.now += HOUR
    for _ in range(600):
        ledger.bundle("s")
    assert ledger.memory.usage().ids == 1


def test_a_session_kept_alive_is_never_swept() -> None:
    ledger = Ledger(limit=0)
    ledger.bundle("s")
    for n in range(200):
        ledger.now += 10 * MINUTE
        ledger.bundle(f"other {n}")
        if n < 100:
            ledger.bundle("s")
            assert ledger.memory.usage().ids < 12
    assert ledger.memory.usage().ids < 12


def test_a_clock_that_steps_back_ends_no_session() -> None:
    ledger = Ledger()
    ledger.visit("t1", "s")
    ledger.now -= HOUR
    ledger.bundle("s")
    assert ledger.page("t2", "s").under_way


async def test_ask_says_what_try_now_says() -> None:
    ledger = MemoryLedger()
    quota = QuotaTerms("c", 1, Instant(START + DAY), enforced=True)
    operations = (Admit(ORG, "t1", "s1", "", False, quota), Admit(ORG, "t2", "s2", "", False, quota))
    first, second = await ledger.ask(operations, Instant(START), 0.25)
    assert first == NEW
    assert second == Admitted(under_way=False, user_admitted=False, over_quota=True, used=1)
