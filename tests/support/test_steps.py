"""Steps are counted in every thread, and only those of the program."""

from __future__ import annotations

import asyncio

from fsproxy.core.json.cutting import removals
from fsproxy.demo import socket as demo
from support.steps import counted

SPANS = [(at, at + 1) for at in range(1_000)]


def test_a_loop_takes_steps_each_time_around_it() -> None:
    with counted() as few:
        removals(SPANS[:10], {5})
    with counted() as many:
        removals(SPANS, {5})
    each, rest = divmod(many.taken - few.taken, len(SPANS) - 10)
    assert (each > 0, rest, many.in_threads) == (True, 0, 0)


def test_what_the_program_calls_counts_and_what_calls_it_does_not() -> None:
    class Slow(set[int]):
        def __contains__(self, each: object) -> bool:
            for _ in range(10):
                pass
            return super().__contains__(each)

    with counted() as alone:
        removals(SPANS, set())
    with counted() as beside:
        assert sum(1 for _ in SPANS) == len(SPANS)
        removals(SPANS, set())
    with counted() as slow:
        removals(SPANS, Slow())
    assert beside.taken == alone.taken
    assert slow.taken > alone.taken + 10 * len(SPANS)


def test_the_demo_is_no_part_of_the_program() -> None:
    with counted() as steps:
        demo.frame_answer('{"Cmd":2,"Seq":1}', demo.Sessions(), 0)
    assert steps.taken == 0


async def test_threads_count_also_those_that_the_loop_would_have_used_again() -> None:
    await asyncio.to_thread(removals, SPANS, {5})
    with counted() as here:
        removals(SPANS, {5})
    with counted() as there:
        await asyncio.to_thread(removals, SPANS, {5})
    assert there.taken == there.in_threads == here.taken
    await asyncio.to_thread(removals, SPANS, {5})
    assert there.taken == here.taken
