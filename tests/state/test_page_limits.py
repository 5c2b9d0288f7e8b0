"""The limits that hold for one page, in both forms of the ledger: rates per page, and the names of a page."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fsproxy.core.limits.operations import UNCOUNTED, Claim, Claimed, Move, NameKind, RateKind, Spend, Spent
from fsproxy.core.model import Instant
from fsproxy.core.settings import Window
from fsproxy.state.memory.ledger import Bounds
from support.ledgers import START, FileStore, MemoryStore, Store, fresh_org

PER_PAGE = (Window(2, 1.0, per_page=True), Window(3, 20.0, per_page=True))
MIXED = (Window(2, 1.0, per_page=True), Window(4, 20.0))


def spend(
    store: Store,
    at: float,
    *,
    page: str = "p",
    session: str = "s",
    org: str = "o",
    windows: tuple[Window, ...] = PER_PAGE,
    kind: RateKind = RateKind.EVENT,
    began: float | None = None,
    mark: int = 0,
) -> bool:
    """A call on a page; with a clock of the page's own if it ``began`` at a known time."""
    clock = (page, (at - began) * 1000, mark) if began is not None else ("", 0.0, 0)
    operation = Spend(org, session, kind, Instant(START + at), windows, *clock, page)
    (answer,) = store.ask((operation,), Instant(START + 500.0))
    assert isinstance(answer, Spent)
    return answer.passed


def test_each_page_has_windows_of_its_own_whatever_session_it_says(store: Store) -> None:
    assert [spend(store, 1.0) for _ in range(3)] == [True, True, False]
    assert not spend(store, 1.0, session="other")
    assert [spend(store, 1.0, page="q") for _ in range(3)] == [True, True, False]
    assert [spend(store, 1.0, kind=RateKind.PAGE) for _ in range(3)] == [True, True, False]
    assert spend(store, 1.0, org="o2")


def test_without_a_page_they_hold_for_the_session(store: Store) -> None:
    assert [spend(store, 1.0, page="") for _ in range(3)] == [True, True, False]
    assert not spend(store, 1.0, page="")
    assert spend(store, 1.0, page="", session="other")
    assert spend(store, 1.0)


def test_a_call_that_one_of_two_logs_refuses_counts_in_neither(store: Store) -> None:
    """The page may call twice a second, the session four times in 20 s: a fifth page is refused, and spends nothing."""
    assert [spend(store, 1.0, windows=MIXED) for _ in range(3)] == [True, True, False]
    assert [spend(store, 1.0, page="q", windows=MIXED) for _ in range(3)] == [True, True, False]
    assert not spend(store, 1.0, page="r", windows=MIXED)
    assert not spend(store, 5.0, windows=MIXED)
    assert spend(store, 1.0, page="r", session="other", windows=MIXED)
    assert spend(store, 1.0, page="r", session="other", windows=MIXED)
    assert not spend(store, 1.0, page="r", session="third", windows=MIXED)
    assert spend(store, 22.0, windows=MIXED)


def test_the_calls_of_a_page_move_with_its_clock_in_both_logs(store: Store) -> None:
    assert spend(store, 401.0, began=400.0, windows=MIXED)
    assert spend(store, 401.0, began=400.0, windows=MIXED)
    store.ask((Move("o", "s", "p", Instant(START + 300.0)),), Instant(START + 500.0))
    assert spend(store, 401.0, windows=MIXED, session="other")
    assert not spend(store, 301.0, began=300.0, windows=MIXED)
    assert [spend(store, 301.0, page="q", windows=MIXED) for _ in range(2)] == [True, True]
    assert not spend(store, 302.0, page="r", windows=MIXED)


def test_a_repeat_that_was_counted_passes_again_in_both_logs(store: Store) -> None:
    for _ in range(5):
        assert spend(store, 401.0, began=400.0, mark=7, windows=MIXED)
    assert spend(store, 401.0, began=400.0, mark=8, windows=MIXED)
    assert not spend(store, 401.0, began=400.0, mark=9, windows=MIXED)


calls = st.lists(
    st.tuples(st.integers(0, 200).map(lambda n: n / 8), st.sampled_from(["", "p", "q"]), st.sampled_from("ab")),
    max_size=40,
)


@given(calls, st.sampled_from([PER_PAGE, MIXED]))
@example([(1.0, "", "a"), (1.0, "", "a"), (0.125, "p", "a"), (0.0, "", "a")], MIXED)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_calls_agree_with_brute_force(
    store: Store, sequence: list[tuple[float, str, str]], windows: tuple[Window, ...]
) -> None:
    org = fresh_org()
    counted: dict[tuple[bool, str], list[float]] = defaultdict(list)
    for at, page, session in sequence:
        logs: dict[tuple[bool, str], list[Window]] = defaultdict(list)
        for window in windows:
            of_page = window.per_page and page != ""
            logs[of_page, page if of_page else session].append(window)
        fits = all(
            sum(end - window.seconds < other <= end for other in [*counted[log], at]) <= window.limit
            for log, some in logs.items()
            for window in some
            for end in [*counted[log], at]
            if end - window.seconds < at <= end  # with pages, others may be full already: calls on them count there too
        )
        assert spend(store, at, page=page, session=session, org=org, windows=windows) is fits
        for log in logs if fits else ():
            counted[log].append(at)


# -- the names of a page


def claim(
    store: Store, *names: str, page: str = "p", limit: int = 4, most: int = 2, org: str = "o", after: float = 0.0
) -> Claimed:
    operation = Claim(org, NameKind.PAGE_PROPERTY, names, limit, 100.0, page, most)
    (answer,) = store.ask((operation,), Instant(START + after))
    assert isinstance(answer, Claimed)
    return answer


def test_a_page_has_its_first_names_and_the_org_those_of_all_pages(store: Store) -> None:
    assert claim(store, "a", "b", "c", "a") == Claimed(frozenset({"c"}), 2)
    assert claim(store, "a", "b").refused == frozenset()
    assert claim(store, "c", "d", "e", page="q") == Claimed(frozenset({"e"}), 4)
    assert claim(store, "e", page="r") == Claimed(frozenset({"e"}), 4)
    assert claim(store, "a", "d", page="r").refused == frozenset()
    assert store.names_usage("o")[NameKind.PAGE_PROPERTY] == 4


def test_a_name_that_either_limit_refuses_uses_up_neither(store: Store) -> None:
    assert claim(store, "a", "b", limit=2).refused == frozenset()
    assert claim(store, "x", "y", "z", page="q", limit=2).refused == {"x", "y", "z"}
    assert claim(store, "a", "b", page="q", limit=2).refused == frozenset()
    assert claim(store, "c", "d").refused == {"c", "d"}
    assert store.names_usage("o")[NameKind.PAGE_PROPERTY] == 2


def test_without_a_limit_for_the_org_only_the_page_is_counted(store: Store) -> None:
    assert claim(store, "a", "b", "c", limit=UNCOUNTED) == Claimed(frozenset({"c"}), 0)
    assert claim(store, "c", page="q", limit=UNCOUNTED).refused == frozenset()
    assert store.names_usage("o")[NameKind.PAGE_PROPERTY] == 0


def test_orgs_have_pages_of_their_own_and_long_names_are_told_apart(store: Store) -> None:
    claim(store, "a", "b")
    assert claim(store, "c", "d", org="o2").refused == frozenset()
    long = "\ud800" + "x" * 1_000
    assert claim(store, long + "a", long + "b", long + "c", org="o3").refused == {long + "c"}


def test_a_name_that_the_org_has_forgotten_is_still_the_pages(store: Store) -> None:
    claim(store, "a", "b")
    assert claim(store, "c", after=150.0) == Claimed(frozenset({"c"}), 0)
    assert claim(store, "a", after=150.0) == Claimed(frozenset(), 1)


def test_the_digests_of_page_names_are_counted_and_shown_nowhere(store: Store) -> None:
    digests = ("\0a", "\0b", "\0c")
    (answer,) = store.ask((Claim("o", NameKind.PAGE_NAME, digests, 2, 100.0),), Instant(START))
    assert answer == Claimed(frozenset({"\0c"}), 2)
    assert store.names_usage("o")[NameKind.PAGE_NAME] == 2
    assert not store.recent_names.newest("o", NameKind.PAGE_NAME)
    assert not store.recent_names.newest_refused("o", NameKind.PAGE_NAME)


claims = st.lists(
    st.tuples(st.lists(st.sampled_from("abcdef"), max_size=4), st.sampled_from("pq"), st.sampled_from([UNCOUNTED, 0, 3])),
    max_size=12,
)  # fmt: skip


@given(claims)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_claims_agree_with_a_plain_model(store: Store, sequence: list[tuple[list[str], str, int]]) -> None:
    org = fresh_org()
    of_org: set[str] = set()
    of_pages: dict[str, set[str]] = {"p": set(), "q": set()}
    for names, page, limit in sequence:
        refused = set()
        for name in names:
            fits = name in of_pages[page] or len(of_pages[page]) < 2
            if fits and (limit == UNCOUNTED or name in of_org or len(of_org) < limit):
                of_pages[page].add(name)
                of_org |= {name} if limit != UNCOUNTED else set()
            else:
                refused.add(name)
        assert claim(store, *names, page=page, limit=limit, org=org).refused == refused


# -- memory alone: bounds, time, restart


def test_a_page_is_forgotten_a_day_after_it_last_claimed() -> None:
    store = MemoryStore()
    claim(store, "a", "b", limit=UNCOUNTED)
    assert claim(store, "c", limit=UNCOUNTED, after=86_000.0).refused == {"c"}
    assert claim(store, "c", limit=UNCOUNTED, after=2 * 86_399.0).refused == frozenset()


def test_the_file_keeps_the_orgs_names_and_no_page() -> None:
    store = FileStore()
    claim(store, "a", "b", "c")
    store.ask((Claim("o", NameKind.PAGE_NAME, ("\0a",), 2, 100.0),), Instant(START))
    store.write()
    store.begin_again(Instant(START))
    usage = store.names_usage("o")
    assert (usage[NameKind.PAGE_PROPERTY], usage[NameKind.PAGE_NAME]) == (2, 1)
    assert claim(store, "c", "d", "e", limit=4).refused == {"e"}
    store.close()


@pytest.mark.parametrize("pages", [1, 2])
def test_pages_are_bounded_and_the_one_that_claimed_longest_ago_goes_first(pages: int) -> None:
    store = MemoryStore(Bounds(page_names=pages))
    for number in range(4):
        claim(store, "a", page=f"p{number}", after=number * 700.0)
    assert store.ledger.usage().page_names == pages
    assert store.ledger.evicted()["page_names"] == 4 - pages
