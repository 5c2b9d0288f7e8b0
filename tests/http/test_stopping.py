"""What a server waits for when it stops, clients in a TLS handshake included (rules.md 4)."""

from __future__ import annotations

import asyncio
from typing import Any

from fsproxy.config.schema import ServerConfig
from fsproxy.http.server import FLUSH_PERIOD, HANDSHAKE_SECONDS, DataServer
from fsproxy.http.sweeper import Sweeper


async def never(_: object) -> bool:
    raise AssertionError


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_connection_that_was_accepted_and_not_opened_is_waited_for_and_not_for_ever() -> None:
    async def run() -> None:
        loop: Any = asyncio.get_running_loop()
        now = 1000.0
        loop.time = lambda: now
        server = DataServer(never, ServerConfig(), Sweeper(loop), on_malformed=lambda: None, on_crash=lambda _: None)
        server.accepted()  # as a listener of TLS does when it has accepted
        flushed = asyncio.create_task(server.flush(60.0))
        await turns()
        now += 2 * FLUSH_PERIOD
        await turns()
        assert not flushed.done()
        now += HANDSHAKE_SECONDS
        await turns()
        assert flushed.done()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(run())
