"""A place in the pool is given back however the making of its connection ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from fsproxy.config.schema import UpstreamTimeouts
from fsproxy.shell.upstream import Origin, Pool
from support.raw_http import eventually

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_goes_at_any_moment_of_connecting_costs_no_place(loop: str) -> None:
    """With uvloop, a connection was told that it is made, and nothing more if its maker is cancelled in that turn."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_cancelled_at_every_turn())


async def _cancelled_at_every_turn() -> None:
    async with await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        pool = Pool(Origin.of(f"http://127.0.0.1:{port}"), 1000, UpstreamTimeouts(), None, asyncio.get_running_loop())
        ends = set()
        for turns in [*range(12)] * 10:
            connecting = asyncio.create_task(pool.connect())
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
        pool = Pool(Origin.of(f"http://127.0.0.1:{port}"), 1, UpstreamTimeouts(), None, asyncio.get_running_loop())
        held = await pool.connect()
        gone, waits = (asyncio.create_task(pool.connect()) for _ in range(2))
        await asyncio.sleep(0)
        pool._left()  # what losing ``held`` does, in the turn in which one who waits goes
        gone.cancel()
        (await waits).abort()
        pool.open += 1
        held.abort()
        assert gone.cancelled()
        await eventually(lambda: pool.open == 0)
