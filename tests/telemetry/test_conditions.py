"""What is not normal begins once and ends once, wherever it is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import OFTEN, OFTEN_SECONDS, QUIET_SECONDS, Condition, Conditions, Level

BEGAN = Instant(1_764_500_000.25)
DOWN = Condition("x:1", Level.BAD, BEGAN, "x fails", "It costs much.", 3, "failed requests", {"kind": "k"})


class Bench:
    """A book with one source, a clock, and what was logged."""

    def __init__(self) -> None:
        self.now = BEGAN
        self.found: list[Condition] = []
        self.book = Conditions(lambda: self.now)
        self.book.sources.append(lambda _: list(self.found))
        self.logs: list[Any] = []

    def look(self, *found: Condition, after: float = 1.0) -> list[str]:
        """Let time pass, and return what is logged of these conditions."""
        self.now = Instant(self.now + after)
        self.found = list(found)
        with capture_logs() as logs:
            self.book.look()
        self.logs += logs
        return [f"{each['log_level']}: {each['event']}" for each in logs]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_condition_is_told_once_each_way_with_since_when_how_many_and_which_kind(bench: Bench) -> None:
    assert bench.look(DOWN) == ["error: x fails"]
    assert bench.look(replace(DOWN, count=8)) == []
    assert bench.book.warnings() == ["x fails"]
    assert bench.book.alerts() == [
        {
            "id": "x:1",
            "level": "bad",
            "since": BEGAN,
            "text": "X fails",
            "more": "Failed requests: 8. It costs much.",
        }
    ]
    assert bench.look() == ["warning: over: x fails"]
    assert bench.book.alerts() == []
    assert bench.look() == []
    begin, end = bench.logs
    told = {"condition": "x:1", "since": "2025-11-30T10:53:20.250Z", "kind": "k"}
    assert begin == {"event": "x fails", "log_level": "error", "more": "It costs much.", "count": 3, **told}
    assert end == {"event": "over: x fails", "log_level": "warning", "seconds": 3.0, "count": 8, **told}


def test_one_that_began_and_ended_between_two_looks_is_told_both_ways(bench: Bench) -> None:
    ended = replace(DOWN, ended=Instant(BEGAN + 0.5))
    assert bench.look(ended) == ["error: x fails", "warning: over: x fails"]
    assert bench.logs[1]["seconds"] == 0.5
    assert bench.book.present() == []


def test_the_exact_end_is_told_where_the_source_knows_it(bench: Bench) -> None:
    bench.look(DOWN)
    bench.look(replace(DOWN, ended=Instant(BEGAN + 1.5), count=9), after=4)
    assert (bench.logs[1]["seconds"], bench.logs[1]["count"]) == (1.5, 9)


def test_the_worst_comes_first_and_what_is_meant_is_no_warning(bench: Bench) -> None:
    meant = Condition("m", Level.INFO, BEGAN, "m is meant")
    soon = Condition("s", Level.WARN, BEGAN, "s ends soon")
    later = replace(DOWN, id="x:2", since=Instant(BEGAN + 1), text="x2 fails")
    said = bench.look(meant, soon, later, DOWN)
    assert said == ["info: m is meant", "warning: s ends soon", "error: x2 fails", "error: x fails"]
    assert [each.id for each in bench.book.present()] == ["x:1", "x:2", "s", "m"]
    assert bench.book.warnings() == ["x fails", "x2 fails", "s ends soon"]
    assert bench.look(soon, later, DOWN) == ["info: over: m is meant"]


def test_one_that_becomes_worse_is_told_again(bench: Bench) -> None:
    assert bench.look(replace(DOWN, level=Level.WARN)) == ["warning: x fails"]
    assert bench.look(DOWN) == ["error: x fails"]


def test_one_that_comes_and_goes_does_not_flood_the_log(bench: Bench) -> None:
    said = []
    for _ in range(500):
        said += bench.look(replace(DOWN, since=bench.now), after=0.5)
        said += bench.look(after=0.5)
    assert len(said) == 2 * OFTEN + 1
    assert bench.book.warnings() == ["x fails"]
    (alert,) = bench.book.alerts()
    assert "It is away just now, but comes and goes" in alert["more"]
    bench.look(replace(DOWN, since=bench.now))
    assert bench.book.alerts()[0]["more"].endswith(
        "It comes and goes, so it counts as over only after a minute without it."
    )
    bench.look()
    assert alert["since"] == bench.logs[-1]["since"] or alert["since"] == BEGAN + OFTEN
    assert bench.look(after=QUIET_SECONDS) == ["warning: over: x fails"]
    assert bench.book.alerts() == []


def test_what_a_worker_sends_of_one_that_comes_and_goes_is_still_open() -> None:
    """An end in it would have the supervisor log a beginning and an end once a second."""
    worker, supervisor = Bench(), Bench()
    sent: list[Condition] = []

    def take(present: list[Condition]) -> bool:
        sent[:] = present
        return True

    worker.book.send = take
    said = []
    for _ in range(OFTEN + 1):
        worker.look(replace(DOWN, since=worker.now, ended=Instant(worker.now + 0.5)))
        said += supervisor.look(*sent)
    for _ in range(3):
        worker.look()
        said += supervisor.look(*sent)
    assert said == ["error: x fails"]


def test_after_a_while_of_rest_it_is_told_at_once_again(bench: Bench) -> None:
    for _ in range(OFTEN):
        assert len(bench.look(replace(DOWN, since=bench.now)) + bench.look()) == 2
    bench.look(after=OFTEN_SECONDS + 1)
    assert not bench.book._entries, "nothing is kept of what is long over"
    assert len(bench.look(replace(DOWN, since=bench.now)) + bench.look()) == 2


def test_a_clock_that_is_set_back_holds_nothing_open(bench: Bench) -> None:
    for _ in range(OFTEN + 1):
        bench.look(replace(DOWN, since=bench.now))
        bench.look()
    assert bench.book.warnings() == ["x fails"]
    assert bench.look(after=-3600) == ["warning: over: x fails"]


def test_a_source_that_raises_hides_no_other(bench: Bench) -> None:
    def broken(now: Instant) -> Iterable[Condition]:
        raise ZeroDivisionError(now)

    bench.book.sources.insert(0, broken)
    assert bench.look(DOWN) == ["error: a condition could not be looked at: a fault of ours", "error: x fails"]
    assert bench.book.warnings() == ["x fails"]
