"""A counter that grows is a condition until it rests."""

from __future__ import annotations

from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import Condition, Level
from fsproxy.telemetry.growing import Growing

T = 1000.0


class Bench:
    """A counter, and what is said of it."""

    def __init__(self, total: int = 0) -> None:
        self.total = total
        self.lasting = False
        condition = Condition("x", Level.WARN, Instant(0.0), "x happens", counted="times")
        self.growing = Growing(lambda: self.total, lambda: condition, rest=60, lasts=lambda: self.lasting)

    def look(self, at: float) -> list[tuple[float, int, float | None]]:
        return [(each.since, each.count, each.ended) for each in self.growing(Instant(T + at))]


def test_it_begins_with_growth_counts_what_came_since_and_ends_after_a_rest() -> None:
    bench = Bench(total=7)
    assert bench.look(0) == []
    bench.total += 2
    assert bench.look(1) == [(T + 1, 2, None)]
    bench.total += 1
    assert bench.look(50) == [(T + 1, 3, None)]
    assert bench.look(109) == [(T + 1, 3, None)]
    assert bench.look(110) == [(T + 1, 3, T + 50)]
    assert bench.look(111) == []
    bench.total += 1
    assert bench.look(200) == [(T + 200, 1, None)]


def test_it_lasts_while_its_cause_does() -> None:
    bench = Bench()
    bench.total, bench.lasting = 1, True
    assert bench.look(1) == [(T + 1, 1, None)]
    assert bench.look(1000) == [(T + 1, 1, None)]
    bench.lasting = False
    assert bench.look(1060) == [(T + 1, 1, T + 1000)]


def test_it_is_told_as_when_it_grew_last() -> None:
    """When a disk has room again, what was lost was not lost by slowness."""
    total, why = [0], ["no space left"]
    growing = Growing(
        lambda: total[0],
        lambda: Condition("x", Level.BAD, Instant(0.0), f"lost: {why[0]}"),
        rest=10,
        lasts=lambda: False,
    )

    def texts(at: float) -> list[str]:
        return [each.text for each in growing(Instant(T + at))]

    total[0] = 1
    assert texts(1) == ["lost: no space left"]
    why[0] = "too slow"
    assert texts(2) == texts(11) == ["lost: no space left"]
    total[0] = 2
    assert texts(20) == ["lost: too slow"]


def test_it_ends_at_once_when_its_cause_was_taken_away() -> None:
    bench = Bench()
    bench.total = 3
    assert bench.look(1)
    bench.growing.end()
    assert bench.look(2) == []


def test_a_clock_that_is_set_back_holds_nothing_open() -> None:
    bench = Bench()
    bench.total = 1
    bench.look(0)
    assert [ended for *_, ended in bench.look(-3600)] == [T]


def test_a_count_that_falls_has_not_grown() -> None:
    bench = Bench()
    bench.total = 5
    assert [count for _, count, _ in bench.look(1)] == [5]
    bench.total = 2
    assert [count for _, count, _ in bench.look(2)] == [5]
    bench.total = 3
    assert [count for _, count, _ in bench.look(3)] == [6]
    still = Bench()
    still.total = -4
    assert still.look(1) == []
