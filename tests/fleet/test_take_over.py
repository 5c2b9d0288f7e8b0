"""Which of several listeners on one port the kernel gives a connection to."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from fsproxy.config.loader import load_text
from fsproxy.fleet.take_over import Predecessor, prefer_none, steer_new_connections
from support.ports import free_ports

CONNECTIONS = 100
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there it is known")


class Listeners:
    """So many on one port, and how many connections each was given."""

    def __init__(self) -> None:
        self.servers: list[asyncio.Server] = []
        self.given: Counter[int] = Counter()
        (self.port,) = free_ports(1)

    async def add(self) -> asyncio.Server:
        number = len(self.servers)

        async def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.given[number] += 1
            writer.close()

        server = await asyncio.start_server(accepted, "127.0.0.1", self.port, reuse_port=True, backlog=CONNECTIONS)
        self.servers.append(server)
        return server

    async def connect(self) -> Counter[int]:
        """Who was given how many of the connections that are made now."""
        self.given.clear()
        for _ in range(CONNECTIONS):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            assert await reader.read() == b""
            writer.close()
        return self.given


@pytest.fixture
async def listeners() -> AsyncIterator[Listeners]:
    made = Listeners()
    async with AsyncExitStack() as stack:
        stack.callback(lambda: [server.close() for server in made.servers])
        yield made


async def test_the_newcomers_are_given_all_and_the_old_ones_none(listeners: Listeners) -> None:
    await listeners.add()
    await listeners.add()
    assert set(await listeners.connect()) == {0, 1}
    for _ in range(2):
        steer_new_connections([await listeners.add()], 2, 2)
    assert set(await listeners.connect()) == {2, 3}


async def test_once_the_old_one_is_gone_the_newcomers_share_evenly_again(listeners: Listeners) -> None:
    old = await listeners.add()
    for _ in range(2):
        steer_new_connections([await listeners.add()], 1, 2)
    old.close()
    assert set(await listeners.connect()) == {1, 2}
    prefer_none(listeners.servers[1:2])
    assert set(await listeners.connect()) == {1, 2}


async def test_no_warning_is_logged_when_another_worker_was_first_to_let_the_kernel_share(
    listeners: Listeners, capsys: pytest.CaptureFixture[str]
) -> None:
    await listeners.add()
    for _ in range(2):
        steer_new_connections([await listeners.add()], 1, 2)
    for each in listeners.servers[1:]:
        prefer_none([each])
    assert "steered" not in capsys.readouterr().out
    assert set(await listeners.connect()) == {0, 1, 2}


async def test_a_kernel_that_refuses_costs_no_start() -> None:
    """A unix socket has no such option."""
    ours, theirs = socket.socketpair()

    class Server:
        sockets = (ours,)

    steer_new_connections([Server()], 1, 1)  # type: ignore[list-item]
    with ours, theirs:
        theirs.send(b"x")
        assert ours.recv(1) == b"x"


@asynccontextmanager
async def admin_port(port: int, instance: str, drained: list[str]) -> AsyncIterator[web.TCPSite]:
    """What a take-over asks of an admin port. It closes the connection of its first request."""
    first = True

    async def readyz(_: web.Request) -> web.Response:
        nonlocal first
        response = web.json_response({"instance": instance, "passage": "0" * 16, "listeners": 1})
        if first:
            response.force_close()
            first = False
        return response

    async def drain(_: web.Request) -> web.Response:
        drained.append(instance)
        return web.json_response({})

    app = web.Application()
    app.add_routes([web.get("/readyz", readyz), web.post("/drain", drain)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, reuse_port=True)
    await site.start()
    try:
        yield site
    finally:
        await runner.cleanup()


async def test_the_predecessor_drains_though_its_first_connection_was_closed_during_a_long_start() -> None:
    (port,) = free_ports(1)
    text = f'{{"upstream": {{"url": "http://127.0.0.1:1"}}, "admin": {{"port": {port}}}}}'
    drained: list[str] = []
    async with admin_port(port, "old", drained):
        predecessor = await Predecessor.find(load_text(text, "fsproxy.yaml", {}, Path()))
        assert predecessor is not None
        await predecessor.hold()
        async with admin_port(port, "new", drained) as site:
            assert isinstance(site._server, asyncio.Server)
            steer_new_connections([site._server], 1, 1)
            await predecessor.retire()
    assert drained == ["old"]
