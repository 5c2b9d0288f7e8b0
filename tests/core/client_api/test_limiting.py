"""What a body's calls cost against the rates, and which of them an answer refuses."""

from __future__ import annotations

from fsproxy.core.client_api.inspected import Inspection
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.limiting import NO_SPENDING, Spending, limited_by, spends
from fsproxy.core.client_api.outcome import CallsOutcome, decide_calls
from fsproxy.core.limits.operations import NameKind, RateKind, Spend, Spent
from fsproxy.core.limits.page_clock import CallClock
from fsproxy.core.model import Instant, Route
from fsproxy.core.settings import ClientApiSettings, RateSettings, Window
from support.call_samples import bundle, first, user

SETTINGS = ClientApiSettings()
RATE = SETTINGS.rate
UID, VARS = user({"uid": "u"}, when=10), user({"a_int": 1}, when=12)
EVENT, NAMELESS = first("E", {"a_int": 1}, when=30), first("", {}, when=40)


def judged(*events: str) -> tuple[Inspection, CallsOutcome]:
    inspection = inspect(SETTINGS, Route.BUNDLE, bundle(*events))
    return inspection, decide_calls(inspection, {}, (), SETTINGS)


CLOCK = CallClock(Instant(2_000.0), 1_000.0, "p")


def cost(
    *events: str,
    repeated: tuple[int, ...] = (),
    clock: CallClock = CLOCK,
    rate: RateSettings = RATE,
    page: str = "",
) -> Spending:
    return spends("o", "s", *judged(*events), repeated, clock, rate, page)


def test_each_call_spends_at_its_own_time_and_an_identify_with_its_variables_once() -> None:
    user_call, event_call = cost(UID, VARS, EVENT).operations
    assert user_call == Spend("o", "s", RateKind.USER, Instant(1_000.01), RATE.user, "p", 10, user_call.mark)
    assert event_call == Spend("o", "s", RateKind.EVENT, Instant(1_000.03), RATE.event, "p", 30, event_call.mark)
    assert len({0, user_call.mark, event_call.mark}) == 3
    assert all(mark < 2**32 for mark in (user_call.mark, event_call.mark))


def test_a_call_without_a_page_or_a_time_of_its_own_is_known_by_neither() -> None:
    upload = CallClock(Instant(2_000.0), 1_000.0)
    assert cost(EVENT, clock=upload).operations == (Spend("o", "s", RateKind.EVENT, Instant(1_000.03), RATE.event),)
    assert cost(EVENT, clock=CallClock(Instant(2_000.0))).operations == (
        Spend("o", "s", RateKind.EVENT, Instant(2_000.0), RATE.event),
    )
    assert cost(first("E", {}, when=1e13)).operations == (
        Spend("o", "s", RateKind.EVENT, Instant(2_000.0), RATE.event),
    )


def test_a_route_without_pages_has_no_limit_on_one() -> None:
    (operation,) = spends("o", "s", *judged(EVENT), (), CLOCK, RATE).operations
    assert operation.of_page == ""
    assert [each.of_page for each in cost(EVENT, UID, page="q").operations] == ["q", "q"]


def test_what_is_rejected_or_repeats_a_call_spends_nothing() -> None:
    assert [each.kind for each in cost(NAMELESS, EVENT).operations] == [RateKind.EVENT]
    assert cost(NAMELESS).operations == ()
    assert cost(UID, VARS, EVENT, repeated=(1,)).operations == cost(EVENT).operations
    assert cost(EVENT, repeated=(0,)).groups == ()


def test_what_validation_and_names_reject_spends_nothing() -> None:
    no_one = user({"uid": "0"})
    events = [NAMELESS, EVENT, no_one, user({"a_str": "x"}), no_one, user({"a": "x"}), first("New", {})]
    inspection = inspect(SETTINGS, Route.BUNDLE, bundle(*events))
    outcome = decide_calls(inspection, {NameKind.EVENT_NAME: {"New"}}, (), SETTINGS)
    assert [group.calls for group in spends("o", "s", inspection, outcome, (), CLOCK, RATE).groups] == [(1,)]


def test_events_and_user_calls_have_windows_of_their_own() -> None:
    assert [each.windows for each in cost(UID, EVENT).operations] == [RATE.user, RATE.event]


PAGE = first("page", {"a_int": 1}, 8193)


def test_calls_whose_windows_are_none_spend_nothing() -> None:
    assert cost(PAGE, page="p").operations == ()
    assert cost(EVENT, rate=RateSettings(event=()), page="p").operations == ()
    assert cost(first("document", {"a_int": 1}, 8193), rate=RateSettings(page=RATE.user), page="p").operations == ()


def test_page_properties_have_windows_of_their_own_and_every_call_tells_its_page_whatever_dates_it() -> None:
    rate = RateSettings(page=(Window(1, 1.0, per_page=True),))
    (operation,) = cost(PAGE, rate=rate, page="p").operations
    assert (operation.kind, operation.windows, operation.page, operation.of_page) == (
        RateKind.PAGE,
        rate.page,
        "p",
        "p",
    )
    for clock in (CallClock(Instant(2_000.0)), CallClock(Instant(2_000.0), 1_000.0)):
        (operation,) = cost(EVENT, clock=clock, page="p").operations
        assert (operation.page, operation.of_page) == ("", "p")


def test_the_calls_of_every_refused_group_are_over_and_the_longest_wait_is_told() -> None:
    asked = cost(UID, VARS, EVENT, first("F", {}))
    passed, short, long = Spent(passed=True), Spent(passed=False, retry_after=1.0), Spent(passed=False, retry_after=9.0)
    assert limited_by(asked, (passed, passed, passed)) == (frozenset(), None)
    assert limited_by(asked, (short, passed, passed)) == (frozenset({0, 1}), short)
    assert limited_by(asked, (short, long, short)) == (frozenset({0, 1, 2, 3}), long)
    assert limited_by(asked, (long, short, passed)) == (frozenset({0, 1, 2}), long)
    equal = Spent(passed=False, retry_after=9.0, remaining=0)
    assert limited_by(asked, (long, equal, passed))[1] is long
    assert limited_by(NO_SPENDING, ()) == (frozenset(), None)
