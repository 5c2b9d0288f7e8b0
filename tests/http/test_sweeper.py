"""The one coarse timer for all timeouts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.http.sweeper import GROUPS, PATIENCE, PERIOD, Sweeper, Timed
from support.raw_http import eventually


class _Waiting(Timed):
    def __init__(self, due: float, shortest: float = 0.0) -> None:
        self.looks = 0
        self.due = due
        self.expired = 0
        self._shortest = shortest

    @property
    def due(self) -> float:
        """Return the attribute, and count how often it is looked at."""
        self.looks += 1
        return self._due

    @due.setter
    def due(self, value: float) -> None:
        self._due = value

    @property
    def shortest(self) -> float:
        return self._shortest

    def expire(self) -> None:
        self.expired += 1
        self.due = inf


async def test_what_is_due_expires_once_and_nothing_else_does() -> None:
    loop = asyncio.get_running_loop()
    sweeper = Sweeper(loop)
    due, later, discarded = _Waiting(loop.time()), _Waiting(inf), _Waiting(loop.time())
    for one in (due, later, discarded):
        sweeper.add(one)
    sweeper.discard(discarded)
    await eventually(lambda: due.expired == 1)
    again = _Waiting(loop.time())
    sweeper.add(again)
    await eventually(lambda: again.expired == 1)
    assert (due.expired, later.expired, discarded.expired) == (1, 0, 0)
    sweeper.close()


async def test_a_closed_sweeper_expires_nothing_more() -> None:
    loop = asyncio.get_running_loop()
    closed, other = Sweeper(loop), Sweeper(loop)
    forgotten, seen = _Waiting(loop.time()), _Waiting(loop.time())
    closed.add(forgotten)
    closed.close()
    other.add(seen)
    await eventually(lambda: seen.expired == 1)
    assert forgotten.expired == 0
    other.close()


class _Steps:
    """An event loop whose time passes only in ``step``, one walk of the sweeper at a time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._next: Callable[[], None] | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        assert delay == PERIOD
        self._next = callback

    def step(self) -> bool:
        """Make the next walk. Return False if none is planned."""
        callback, self._next = self._next, None
        self.now += PERIOD
        if callback is not None:
            callback()
        return callback is not None


def _stepped() -> tuple[_Steps, Sweeper]:
    steps = _Steps()
    return steps, Sweeper(cast("asyncio.AbstractEventLoop", steps))


def test_what_has_time_left_is_looked_at_once_in_a_round_of_all_groups() -> None:
    steps, sweeper = _stepped()
    patient = [_Waiting(1000.0, shortest=PATIENCE) for _ in range(100)]
    hasty = _Waiting(1000.0, shortest=PATIENCE / 2)
    for one in (*patient, hasty):
        sweeper.add(one)
    steps.step()
    for one in (*patient, hasty):
        one.looks = 0
    for _ in range(GROUPS):
        steps.step()
    assert {one.looks for one in patient} == {1}
    assert hasty.looks >= GROUPS


def test_a_sweeper_that_watches_nothing_stops_walking_also_after_what_had_time_left() -> None:
    steps, sweeper = _stepped()
    patient = _Waiting(inf, shortest=PATIENCE)
    sweeper.add(patient)
    assert all(steps.step() for _ in range(3 * GROUPS))
    sweeper.discard(patient)
    steps.step()
    assert not steps.step()


def test_a_round_of_all_groups_ends_before_what_was_just_set_can_be_due() -> None:
    assert GROUPS * PERIOD < PATIENCE


CHANGES = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["set", "clear", "discard", "nothing"]), st.floats(0.0, 5.0)),
    max_size=150,
)


@given(st.lists(st.sampled_from([0.05, 0.4, PATIENCE, 4.0]), min_size=5, max_size=5), CHANGES)
@settings(max_examples=150)
def test_whatever_is_set_when_it_expires_at_the_first_walk_after_it_is_due(
    shortest: list[float], changes: list[tuple[int, str, float]]
) -> None:
    """Make one change in each walk. Each ``due`` is set at least ``shortest`` ahead, as the contract demands."""
    steps, sweeper = _stepped()
    all_of_them = [_Waiting(inf, each) for each in shortest]
    for one in all_of_them:
        sweeper.add(one)
    watched = dict.fromkeys(all_of_them, inf)
    for number, change, more in [*changes, *[(0, "nothing", 0.0)] * 100]:
        one = all_of_them[number]
        if change == "discard":
            sweeper.discard(one)
            watched.pop(one, None)
        elif one in watched and change != "nothing":
            watched[one] = one.due = steps.now + one.shortest + more if change == "set" else inf
        before = {each: each.expired for each in all_of_them}
        steps.step()
        expected = {each for each, due in watched.items() if due <= steps.now}
        assert {each for each in all_of_them if each.expired > before[each]} == expected
        watched.update(dict.fromkeys(expected, inf))
