"""The last seconds and minutes, from counters that are read once a second."""

from __future__ import annotations

import pytest

from fsproxy.core.audit.line import Ending
from fsproxy.core.audit.record import Outcome
from fsproxy.core.model import Instant, Route
from fsproxy.telemetry.durations import quantile
from fsproxy.telemetry.metrics import Metrics
from fsproxy.telemetry.pulse import SLOTS, Latencies, Pulse, total

BEGIN = 1_795_262_400.0
PAGE = Ending(Outcome.CAPTURED, (Route.PAGE, 2, True, Outcome.CAPTURED, True), 1.0, "", None, b"")
OTHER = Ending(Outcome.FORWARDED, (Route.OTHER, 2, False, Outcome.FORWARDED, False), 1.0, "", None, b"")
MILLISECOND = 1_000_000


class Bench:
    """A pulse with the test's clock."""

    def __init__(self) -> None:
        self.time = BEGIN
        self.metrics = Metrics()
        self.pulse = Pulse(self.metrics, lambda: Instant(self.time))

    def seconds(self, count: int, pages: int = 0, *, own: int = MILLISECOND, others: int = 0) -> None:
        """So many seconds pass, with so many pages in each, which took 10 ms more upstream."""
        for _ in range(count):
            self.time += 1
            for _ in range(pages):
                self.metrics.count(self.metrics.orgs.others, PAGE, own + 10 * MILLISECOND, own)
            for _ in range(others):
                self.metrics.count(self.metrics.orgs.others, OTHER, own, own)
            self.pulse.beat()


def test_the_rate_is_of_the_last_ten_seconds_and_of_what_carries_captured_data() -> None:
    bench = Bench()
    assert bench.pulse.rate == 0.0
    bench.seconds(2, pages=6, others=50)
    assert bench.pulse.rate == 6.0
    bench.seconds(5)
    bench.seconds(5, pages=2)
    assert bench.pulse.rate == 1.0


def test_durations_are_of_the_last_minute() -> None:
    bench = Bench()
    bench.seconds(10, pages=1, own=100 * MILLISECOND)
    found = bench.pulse.last_minute()
    assert quantile(found.own, 0.5) == pytest.approx(0.1, rel=0.26)
    assert quantile(found.upstream, 0.5) == pytest.approx(0.01, rel=0.26)
    bench.seconds(60, pages=1)
    assert quantile(bench.pulse.last_minute().own, 0.99) == pytest.approx(0.001, rel=0.26)
    bench.seconds(60)
    assert quantile(bench.pulse.last_minute().own, 0.5) is None


def test_an_hour_is_thirty_slots_without_the_present_minute_and_what_is_kept_is_bounded() -> None:
    bench = Bench()
    bench.seconds(3600 * 2, pages=1)
    slots = bench.pulse.last_hour()
    assert [slot.own[-1] for slot in slots] == [120] * SLOTS
    bench.seconds(59, pages=9)
    assert [slot.own[-1] for slot in bench.pulse.last_hour()] == [120] * SLOTS
    assert len(bench.pulse._minutes) == 61
    assert bench.pulse.last_hour()[-1].own[-1] == 120
    assert total([slots[0], Latencies(), slots[1]]).own[-1] == 240


def test_a_state_is_told_with_the_time_of_its_change() -> None:
    bench = Bench()
    states = ["up"]
    bench.pulse.watched["store"] = lambda: states[-1]
    bench.seconds(3)
    assert bench.pulse.state("store") == ("up", BEGIN)
    states.append("down")
    bench.seconds(2)
    assert bench.pulse.state("store") == ("down", BEGIN + 4)
