"""However a connection's use ends, its place in the pool is free again; and no kind of request has more than its share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.config.schema import UpstreamTimeouts
from fsproxy.core.failures import Failure
from fsproxy.http.origin import Origin
from fsproxy.http.sweeper import Sweeper
from fsproxy.http.upstream.connection import UpstreamConnection
from fsproxy.http.upstream.pool import ConnectError, Pool, Share
from support.raw_http import eventually

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def make_pool(port: int, limit: int, timeouts: UpstreamTimeouts | None = None) -> Pool:
    loop = asyncio.get_running_loop()
    origin = Origin.of(f"http://127.0.0.1:{port}")
    return Pool(origin, limit, timeouts or UpstreamTimeouts(), None, loop, Sweeper(loop))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_goes_at_any_moment_of_connecting_costs_no_place(loop: str) -> None:
    """With uvloop, ``connection_lost`` is never called if the task is cancelled in the turn that made the connection."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_cancelled_at_every_turn())


async def _cancelled_at_every_turn() -> None:
    async with await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        pool = make_pool(port, 1000)
        ends = set()
        for turns in [*range(12)] * 10:
            connecting = asyncio.create_task(pool.connect(Share.CAPTURE))
            for _ in range(turns):
                await asyncio.sleep(0)
            connecting.cancel()
            try:
                (await connecting).abort()
                ends.add("made")
            except asyncio.CancelledError:
                ends.add("cancelled")
        assert ends == {"made", "cancelled"}
        await eventually(lambda: pool.open == 0)


async def test_a_place_that_comes_free_for_one_who_has_just_gone_is_the_next_ones() -> None:
    async with await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        pool = make_pool(port, 1)
        held = await pool.connect(Share.CAPTURE)
        gone, waits = (asyncio.create_task(pool.connect(Share.CAPTURE)) for _ in range(2))
        await asyncio.sleep(0)
        pool._free_place()  # what the loss of ``held`` does, in the same turn in which a waiter is cancelled
        gone.cancel()
        (await waits).abort()
        pool.open += 1
        held.abort()
        assert gone.cancelled()
        await eventually(lambda: pool.open == 0)


@asynccontextmanager
async def pool_of(limit: int) -> AsyncIterator[Pool]:
    async with await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        pool = make_pool(port, limit, UpstreamTimeouts(connect=600.0))
        yield pool
        pool.close()
        await eventually(lambda: pool.open == 0)


@pytest.mark.parametrize(
    ("limit", "others", "with_sockets"),
    [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 3), (8, 4, 6), (512, 256, 384)],
)
async def test_each_kind_has_its_share_and_capture_routes_the_rest(limit: int, others: int, with_sockets: int) -> None:
    async with pool_of(limit) as pool:
        held: list[UpstreamConnection] = []
        for share in Share:
            while (connection := await _connected_at_once(pool, share)) is not None:
                held.append(connection)
            assert len(held) == {Share.OTHER: others, Share.SOCKET: with_sockets, Share.CAPTURE: limit}[share]
        for connection in held:
            pool.give_back(connection)
        taken = pool.take(Share.OTHER, pool.time())
        assert taken is not None
        pool.give_back(taken)


async def test_who_finds_no_place_in_time_is_refused() -> None:
    async with pool_of(1) as pool:
        held = await pool.connect(Share.CAPTURE)
        pool.timeouts = UpstreamTimeouts(connect=0.05)
        with pytest.raises(ConnectError) as refused:
            await pool.connect(Share.OTHER)
        assert refused.value.failure is Failure.UPSTREAM_BUSY
        held.abort()


async def _connected_at_once(pool: Pool, share: Share) -> UpstreamConnection | None:
    """Return a connection, or None if that has to be waited for."""
    connecting = asyncio.create_task(_connected(pool, share))
    await eventually(lambda: connecting.done() or any(pool._waiting))
    if connecting.done():
        return await connecting
    connecting.cancel()
    await asyncio.wait([connecting])
    return None


async def _connected(pool: Pool, share: Share) -> UpstreamConnection:
    return pool.take(share, pool.time()) or await pool.connect(share)


async def test_what_one_kind_gives_back_is_its_own_next_ones_though_the_pool_has_room() -> None:
    async with pool_of(4) as pool:
        held = [await pool.connect(Share.OTHER) for _ in range(2)]
        waiting = [asyncio.create_task(pool.connect(Share.OTHER)) for _ in range(2)]
        page = await pool.connect(Share.CAPTURE)
        pool.give_back(page)
        assert pool.take(Share.OTHER, pool.time()) is None
        pool.give_back(held[0])
        assert await waiting[0] is held[0]
        held[1].abort()
        assert await waiting[1] is not held[0]
        for connection in (waiting[0].result(), waiting[1].result()):
            connection.abort()


async def test_who_waits_longest_is_next_if_it_may_hold_one_more() -> None:
    async with pool_of(2) as pool:
        other, page = await pool.connect(Share.OTHER), await pool.connect(Share.CAPTURE)
        waiting = [asyncio.create_task(pool.connect(share)) for share in (Share.OTHER, Share.CAPTURE, Share.OTHER)]
        await asyncio.sleep(0)
        pool.give_back(page)
        assert await waiting[1] is page
        pool.give_back(other)
        assert await waiting[0] is other
        pool.give_back(page)
        pool.give_back(other)
        (await waiting[2]).abort()


@given(st.lists(st.tuples(st.sampled_from(["ask", "give back", "lose", "cancel"]), st.integers(0, 20)), max_size=60))
@settings(max_examples=40)
def test_no_kind_ever_has_more_than_its_share_and_whoever_may_have_one_gets_it(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_whatever_happens(steps))


async def _whatever_happens(steps: list[tuple[str, int]]) -> None:
    async with pool_of(4) as pool:
        asked: list[tuple[Share, asyncio.Task[UpstreamConnection]]] = []
        for step, number in steps:
            held = [each for each in asked if each[1].done()]
            waiting = [each for each in asked if not each[1].done()]
            if step == "ask":
                share = Share(number % 3)
                asked.append((share, asyncio.create_task(_connected(pool, share))))
            elif step == "cancel" and waiting:
                asked.remove(waiting[number % len(waiting)])
                waiting[number % len(waiting)][1].cancel()
            elif step in {"give back", "lose"} and held:
                one = held[number % len(held)]
                asked.remove(one)
                if step == "lose":
                    one[1].result().abort()
                else:
                    pool.give_back(one[1].result())
            await eventually(lambda: _settled(pool, asked))
        for _, task in asked:
            task.cancel()
            if task.done() and not task.cancelled():
                task.result().abort()


def _settled(pool: Pool, asked: list[tuple[Share, asyncio.Task[UpstreamConnection]]]) -> bool:
    """Whether no kind has too many, and nobody waits who may have one."""
    held = [sum(share is kind for share, task in asked if task.done()) for kind in Share]
    assert held[0] <= 2
    assert held[0] + held[1] <= 3
    assert sum(held) <= pool.limit
    room = sum(held) < 4
    may = (room and held[0] < 2 and held[0] + held[1] < 3, room and held[0] + held[1] < 3, room)
    return not any(may[share] for share, task in asked if not task.done())


async def test_an_idle_connection_is_closed_after_its_time_and_a_reload_changes_that_time() -> None:
    async with pool_of(2) as pool:
        pool.give_back(await pool.connect(Share.CAPTURE))
        assert pool.open == 1
        pool.retime(UpstreamTimeouts(idle=0.05))
        assert pool.take(Share.CAPTURE, pool.time() + 0.1) is None, "too old to be used"
        pool.give_back(await pool.connect(Share.CAPTURE))
        await eventually(lambda: pool.open == 0)


async def test_a_connection_that_is_used_again_lives_on() -> None:
    async with pool_of(1) as pool:
        connection = await pool.connect(Share.CAPTURE)
        pool.give_back(connection)
        assert connection.due > pool.time()
        assert pool.take(Share.CAPTURE, pool.time()) is connection
        connection.abort()  # what is taken is not closed with the pool
