"""Listening sockets go from one program to the next."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from fsproxy.config.loader import load_text
from fsproxy.config.problems import HostError
from fsproxy.config.schema import Config
from fsproxy.fleet.binding import GivenSockets
from fsproxy.fleet.listening import bind_admin, start_admin, stop_accepting
from fsproxy.fleet.take_over import Predecessor, handing_over
from support.ports import free_ports

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there it is known")


def config(port: int) -> Config:
    text = f'{{"upstream": {{"url": "http://127.0.0.1:1"}}, "admin": {{"port": {port}}}}}'
    return load_text(text, "fsproxy.yaml", {}, Path())


@asynccontextmanager
async def admin_port(
    of: Config, instance: str, drained: list[str], sockets: list[socket.socket]
) -> AsyncIterator[web.AppRunner]:
    """What a take-over asks of an admin port. It closes the connection of its first request."""
    first = True

    async def readyz(_: web.Request) -> web.Response:
        nonlocal first
        response = web.json_response({"instance": instance, "passage": "0" * 16})
        if first:
            response.force_close()
            first = False
        return response

    async def drain(_: web.Request) -> web.Response:
        drained.append(instance)
        return web.json_response({})

    app = web.Application()
    app.add_routes([web.get("/readyz", readyz), web.post("/drain", drain)])
    runner = await start_admin(app, of.admin, sockets)
    try:
        yield runner
    finally:
        await runner.cleanup()


async def test_the_sockets_go_over_with_what_waits_in_them_and_the_old_program_drains() -> None:
    """Also when the connection that found it was closed during a long start, and there are more than a message holds."""
    of = config(*free_ports(1))
    drained: list[str] = []
    old = await bind_admin(of.admin)
    with socket.create_server(("127.0.0.1", 0)) as data:
        port = data.getsockname()[1]
        async with admin_port(of, "old", drained, old) as runner:
            closed = socket.socket()
            closed.close()
            with handing_over("old", [data, closed, *old, *[data] * 300]):
                predecessor = await Predecessor.find(of)
            assert predecessor is not None
            with socket.create_connection(("127.0.0.1", port)) as waiting:
                data.close()
                given = predecessor.given.take(socket.AF_INET, ("127.0.0.1", port))
                assert given is not None
                with given, given.accept()[0] as accepted:
                    assert accepted.getpeername() == waiting.getsockname()
            await predecessor.hold()
            async with admin_port(of, "new", drained, await bind_admin(of.admin, predecessor.given)):
                await stop_accepting(runner)
                await predecessor.retire()
            await predecessor.close()
    assert drained == ["old"]


async def test_of_two_that_take_over_at_once_one_is_refused_until_the_other_has_given_up() -> None:
    of = config(*free_ports(1))
    drained: list[str] = []
    sockets = await bind_admin(of.admin)
    async with admin_port(of, "old", drained, sockets):
        with handing_over("old", sockets):
            for _ in range(2):
                found = await asyncio.gather(Predecessor.find(of), Predecessor.find(of), return_exceptions=True)
                (refused,) = (each for each in found if isinstance(each, HostError))
                assert "another start is taking over" in str(refused)
                (first,) = (each for each in found if isinstance(each, Predecessor))
                await first.close()
            last = await Predecessor.find(of)
            assert last is not None
            await last.retire()
            # It drains, and takes no other requests.
            with pytest.raises(HostError, match="another start is taking over"):
                await Predecessor.find(of)
            await last.close()
    assert drained == ["old"]


async def test_a_host_of_the_admin_port_that_changes_does_not_collide_with_the_program_before() -> None:
    of = config(*free_ports(1))
    wider = replace(of.admin, host=("0.0.0.0",))
    async with admin_port(of, "old", [], await bind_admin(of.admin)):
        with pytest.raises(HostError, match="in use"):
            await bind_admin(wider)
        with socket.create_server(("127.0.0.2", of.admin.port), reuse_port=True) as ours:
            given = GivenSockets([ours.dup()])
            (made,) = await bind_admin(wider, given)
            with made:
                made.listen()
            given.close()


async def test_a_program_of_another_user_is_given_no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    of = config(*free_ports(1))
    sockets = await bind_admin(of.admin)
    monkeypatch.setattr("os.geteuid", lambda: 12_345)
    async with admin_port(of, "old", [], sockets):
        with handing_over("old", sockets), pytest.raises(HostError, match="cannot be taken over"):
            await Predecessor.find(of)


async def test_a_program_that_gives_no_sockets_is_not_taken_over() -> None:
    of = config(*free_ports(1))
    async with admin_port(of, "old", [], await bind_admin(of.admin)):
        with pytest.raises(HostError, match="cannot be taken over"):
            await Predecessor.find(of)
