"""The one coarse timer."""

from __future__ import annotations

import asyncio
from math import inf

from fsproxy.shell.sweeper import Sweeper, Timed
from support.raw_http import eventually


class _Waiting(Timed):
    def __init__(self, due: float) -> None:
        self.due = due
        self.expired = 0

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
