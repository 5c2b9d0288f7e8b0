"""What a call costs against a high limit: counted looks at the log, not time (threat model, calls as amplification)."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from fsproxy.core.limits.operations import RateKind, Spend
from fsproxy.core.limits.rate import in_microseconds
from fsproxy.core.model import Instant
from fsproxy.core.settings import Window
from fsproxy.state.memory.call_log import CallLog
from support.ledgers import ValkeyStore, fresh_org
from support.valkey import ValkeyServer

START = 1_790_000_000.0
LOW, HIGH = 300, 3_000


class Looks(list[int]):
    """A list that counts how often somebody looks at a place of it."""

    count = 0

    def __getitem__(self, place: Any) -> Any:
        self.count += 1
        return super().__getitem__(place)


def looks(limit: int, moments: list[float], windows: tuple[Window, ...] | None = None) -> float:
    """Looks at the log for each of a page's calls, on average."""
    log, seen = CallLog(), Looks()
    log.times = seen  # type: ignore[assignment]  # as far as the log can tell
    for moment in moments:
        used = windows or (Window(limit, 1.0),)
        operation = Spend("o", "s", RateKind.EVENT, Instant(START + moment), used, "p", moment * 1000)
        log.spend(operation, 7, in_microseconds(used))
    return seen.count / len(moments)


def anywhere(limit: int) -> list[float]:
    random = Random(1)
    return [random.random() * 3 for _ in range(6 * limit)]


def in_order(limit: int) -> list[float]:
    return [number / (2 * limit) for number in range(6 * limit)]


def backwards(limit: int) -> list[float]:
    return [number / limit for number in range(4 * limit)][::-1]


def between_calls_that_all_but_fill_their_windows(limit: int) -> list[float]:
    random = Random(1)
    filled = [number / (limit - 2) for number in range(4 * limit)]
    return filled + [1 + random.random() * 2 for _ in range(2 * limit)]


@pytest.mark.parametrize(
    "moments",
    [anywhere, in_order, backwards, between_calls_that_all_but_fill_their_windows],
    ids=lambda each: each.__name__,
)
def test_a_tenfold_limit_does_not_cost_much_more_for_each_call(moments: Callable[[int], list[float]]) -> None:
    low, high = looks(LOW, moments(LOW)), looks(HIGH, moments(HIGH))
    assert high < 3 * low


def test_nor_do_two_windows() -> None:
    random = Random(1)

    def cost(limit: int) -> float:
        windows = (Window(limit, 1.0), Window(5 * limit, 60.0))
        return looks(limit, [random.random() * 120 for _ in range(10 * limit)], windows)

    assert cost(HIGH) < 3 * cost(LOW)


def test_the_log_of_a_session_is_bounded() -> None:
    log, windows = CallLog(), (Window(20_000, 1.0),)
    for number in range(60_000):
        call = Spend("o", "s", RateKind.EVENT, Instant(START + number), windows)
        assert log.spend(call, 0, in_microseconds(windows)).passed
    assert len(log.times) <= 40_000


def test_four_times_as_many_calls_of_an_upload_cost_the_store_about_four_times(valkey: ValkeyServer) -> None:
    """By the server's CPU time; in the order of the calls' own time, as recorders send them."""
    store = ValkeyStore(valkey.redis)

    def cost(calls: int) -> float:
        org, windows = fresh_org(), (Window(100_000, 1.0),)
        operations = tuple(
            Spend(org, "s", RateKind.EVENT, Instant(START + each / 1000), windows, "p", each)
            for each in (number * 1000 / calls for number in range(calls))
        )
        before = cpu_of(valkey)
        store.ask(operations, Instant(START + 10))
        return cpu_of(valkey) - before

    try:
        cost(100)
        assert min(cost(4_000) for _ in range(3)) < 8 * min(cost(1_000) for _ in range(3))
    finally:
        store.close()


def cpu_of(valkey: ValkeyServer) -> float:
    answer = valkey.command("INFO", "cpu")
    assert isinstance(answer, bytes)
    used = dict(line.split(":") for line in answer.decode().split() if line.startswith("used_cpu_"))
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])
