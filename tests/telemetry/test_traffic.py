"""How requests ended, by minute of the last day and by org; all of it is bounded."""

from __future__ import annotations

from typing import Any

from fsproxy.admin.views import traffic
from fsproxy.core.audit.record import Ended, Outcome
from fsproxy.core.failures import Failure
from fsproxy.core.model import FilterName, Route
from fsproxy.core.reasons import ReasonCode
from fsproxy.telemetry import orgs as module
from fsproxy.telemetry.orgs import MOST_MINUTES, MOST_ORGS, OTHERS, Orgs
from fsproxy.telemetry.traffic import Traffic

NOON = 1_795_262_400
"""A full hour."""
OTHER: Ended = (Route.OTHER, 2, False, Outcome.FORWARDED, False)


def ended(end: Outcome | ReasonCode | Failure, *, by: FilterName | bool = True, page: bool = True) -> Ended:
    return Route.PAGE if page else Route.BUNDLE, 2, page, end, by


class Bench:
    """Counts as the recorder does."""

    def __init__(self) -> None:
        self.orgs = Orgs()
        self.traffic = Traffic(self.orgs)

    def count(self, how: Ended, at: float, org: str | None = None, *, listed: bool = False) -> None:
        if not self.traffic.begin <= at < self.traffic.end:
            self.traffic.turn(at)
        counts = self.orgs.named.get(org) or self.orgs.admit(org or "", listed=listed)
        counts.ended[how] += 1

    def told(self, most: int, now: float, org: str | None = None, step: int = 1) -> list[Any]:
        return list(traffic(self.traffic.minutes(most, now, org), step))

    def captured(self, most: int, now: float, org: str | None = None, step: int = 1) -> list[int]:
        return [each["pages"]["captured"] for each in self.told(most, now, org, step)]


NONE = {"captured": 0, "forwarded": 0, "rejected": 0, "failed": 0, "blocked": {}}


def test_minutes_without_traffic_are_there_and_empty_and_what_ended_before_is_not_counted() -> None:
    bench = Bench()
    bench.orgs.named[None].ended[ended(Outcome.CAPTURED)] = 7
    bench.traffic = Traffic(bench.orgs)
    bench.count(ended(Outcome.CAPTURED), NOON)
    bench.count(ended(ReasonCode.IP_FILTER, by=FilterName.IP), NOON + 59)
    bench.count(ended(ReasonCode.UNSPECIFIED, by=FilterName.QUOTA), NOON + 59)
    bench.count(ended(Failure.CLIENT_GONE, page=False), NOON + 125)
    bench.count(ended(Failure.UPSTREAM_RESET, page=False), NOON + 125)
    bench.count(OTHER, NOON + 126)
    told = bench.told(3, NOON + 130)
    assert [each["minute"] - NOON for each in told] == [0, 60, 120]
    assert told[0]["pages"] == told[0]["requests"] == {**NONE, "captured": 1, "blocked": {"5": 1, "-1": 1}}
    assert told[1]["requests"] == NONE
    assert (told[2]["pages"], told[2]["requests"]) == (NONE, {**NONE, "failed": 2})
    assert [each["upstream_failed"] for each in told] == [0, 0, 1]


def test_what_was_rejected_in_part_is_counted_beside_how_it_ended() -> None:
    bench = Bench()
    for at in (NOON, NOON + 1, NOON + 60):
        bench.count(ended(Outcome.FORWARDED, page=False), at, "o-1")
        bench.orgs.named["o-1"].cut += 1
    for org in (None, "o-1"):
        told = bench.told(2, NOON + 60, org)
        assert [(each["requests"]["forwarded"], each["rejected_in_part"]) for each in told] == [(2, 2), (1, 1)]


def test_a_day_is_kept_and_no_more_also_when_the_clock_is_set_back() -> None:
    bench = Bench()
    for minute in range(MOST_MINUTES + 30):
        bench.count(ended(Outcome.CAPTURED), NOON + 60 * minute)
    last = NOON + 60 * (MOST_MINUTES + 29)
    assert bench.captured(MOST_MINUTES, last) == [1] * MOST_MINUTES
    assert bench.captured(1, NOON) == [0]
    bench.count(ended(ReasonCode.IP_FILTER, by=FilterName.IP), NOON - 60 * MOST_MINUTES)
    assert bench.told(1, NOON - 60 * MOST_MINUTES)[0]["pages"] == {**NONE, "blocked": {"5": 1}}


def test_a_minute_with_nothing_but_other_requests_displaces_none() -> None:
    bench = Bench()
    bench.count(ended(Outcome.CAPTURED), NOON)
    bench.count(OTHER, NOON + 60 * MOST_MINUTES)
    assert bench.captured(1, NOON) == [1]


def test_a_minute_that_comes_again_goes_on() -> None:
    bench = Bench()
    for at in (NOON, NOON + 60, NOON + 30, NOON + 31):
        bench.count(ended(Outcome.CAPTURED), at)
        bench.captured(1, at)
    assert bench.captured(2, NOON + 60) == [3, 1]


def test_minutes_are_summed_from_a_multiple_of_the_step_on() -> None:
    bench = Bench()
    for minute in range(12):
        bench.count(ended(Outcome.CAPTURED), NOON + 60 * minute)
        bench.count(ended(ReasonCode.GEOGRAPHY, by=FilterName.GEO), NOON + 60 * minute)
    told = bench.told(12, NOON + 11 * 60, step=5)
    assert [(each["minute"] - NOON, each["pages"]) for each in told] == [
        (0, {**NONE, "captured": 5, "blocked": {"7": 5}}),
        (300, {**NONE, "captured": 5, "blocked": {"7": 5}}),
        (600, {**NONE, "captured": 2, "blocked": {"7": 2}}),
    ]


def test_each_org_has_minutes_of_its_own_and_all_together_have_the_sums() -> None:
    bench = Bench()
    bench.count(ended(Outcome.CAPTURED), NOON, "o-1")
    bench.count(ended(Outcome.CAPTURED), NOON + 60, "o-2")
    bench.count(ended(Outcome.CAPTURED), NOON + 60, "o-1")
    bench.count(ended(Outcome.CAPTURED), NOON + 60)
    assert bench.captured(2, NOON + 60, "o-1") == [1, 1]
    assert bench.captured(2, NOON + 60, "o-2") == [0, 1]
    assert bench.captured(2, NOON + 60, "nobody") == [0, 0]
    assert bench.captured(2, NOON + 60) == [1, 3]
    assert [org for org, _ in bench.orgs.by_label()] == ["o-1", "o-2"]


def test_orgs_without_room_are_counted_together_and_a_listed_one_takes_the_place_of_the_least() -> None:
    bench = Bench()
    bench.count(ended(Outcome.CAPTURED), NOON, "o-0")
    for number in range(MOST_ORGS + 50):
        bench.count(ended(Outcome.CAPTURED), NOON, f"o-{number}")
    assert len(bench.orgs.named) == MOST_ORGS + 1
    assert bench.captured(1, NOON, OTHERS) == [50]
    bench.count(ended(Outcome.CAPTURED), NOON, "o-listed", listed=True)
    assert bench.captured(1, NOON, "o-listed") == [1]
    assert bench.captured(1, NOON, "o-0") == [2], "it has more requests than the others"
    assert len(bench.orgs.named) == MOST_ORGS + 1
    assert bench.captured(1, NOON) == [MOST_ORGS + 52]
    assert bench.orgs.ended().total() == MOST_ORGS + 52


def test_listed_orgs_beyond_the_room_are_counted_together_and_none_of_them_is_dropped() -> None:
    bench = Bench()
    for number in range(MOST_ORGS + 3):
        bench.count(ended(Outcome.CAPTURED), NOON, f"o-{number}", listed=True)
    assert bench.captured(1, NOON, OTHERS) == [3]
    assert bench.captured(1, NOON, "o-0") == [1]


def test_an_org_that_sent_nothing_for_an_hour_makes_room_if_there_is_none() -> None:
    bench = Bench()
    hour = 60 * (module.IDLE_MINUTES + 2)
    for number in range(MOST_ORGS):
        bench.count(ended(Outcome.CAPTURED), NOON, f"o-{number}", listed=number == 1)
    bench.count(ended(Outcome.CAPTURED), NOON + hour, "o-0")
    bench.count(ended(Outcome.CAPTURED), NOON + hour, "o-new")
    bench.count(ended(Outcome.CAPTURED), NOON + hour + 60, "o-new")
    names = [org for org, _ in bench.orgs.by_label()]
    assert names[-1] == "o-new"
    assert {"o-0", "o-1"} <= set(names)
    assert len(names) < 10
    assert bench.orgs.ended().total() == MOST_ORGS + 3
