"""A limit of descriptors that is far below what clients would take."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

from support import launch
from support.proxy import POLL
from support.rig import JSON, Rig, running_rig
from support.upstream import status

LAUNCH = (sys.executable, launch.__file__, "serve")
SILENT = 150
LIMIT = 96


@asynccontextmanager
async def rig(limit: str) -> AsyncIterator[Rig]:
    config = {"server": {"header_timeout": "10m"}, "log": {"format": "json"}}
    async with running_rig(config, {"WORLD_DESCRIPTORS": limit}, command=LAUNCH) as running:
        yield running


def soft_limit(one: Rig) -> int:
    lines = Path(f"/proc/{one.proxy.process.pid}/limits").read_text().splitlines()
    return next(int(line.split()[3]) for line in lines if line.startswith("Max open files"))


def warnings(one: Rig) -> list[dict[str, object]]:
    lines = [line for line in one.proxy.log_text().splitlines() if line.startswith("{")]
    return [found for found in map(json.loads, lines) if found["log.level"] in {"warning", "error"}]


async def first_warning(one: Rig) -> dict[str, object]:
    async with asyncio.timeout(60):
        while not warnings(one):
            await asyncio.sleep(POLL)
    return warnings(one)[0]


async def test_the_limit_is_raised_and_said_where_it_is_too_low() -> None:
    async with rig(f"64:{LIMIT}") as one:
        assert soft_limit(one) == LIMIT
        said = await first_warning(one)
        assert (said["fsproxy.limit"], said["fsproxy.needed"]) == (LIMIT, 11_000 + 512 + 64)
        text = "the limit of descriptors (open files) is too low for server.max_connections: "
        assert [each[: len(text)] for each in json.loads((await one.admin("/readyz"))[1])["warnings"]] == [text]
    async with rig("64:20000") as one:
        assert soft_limit(one) == 20_000
        assert json.loads((await one.admin("/readyz"))[1])["warnings"] == []
        assert warnings(one) == []


async def test_clients_that_would_take_all_descriptors_leave_some_and_reload_nothing() -> None:
    async with rig(f"{LIMIT}:{LIMIT}") as one:
        assert (await one.page()).status == 200
        one.upstream.on("GET", "/", status(200))
        said = [await first_warning(one)]
        silent = [asyncio.create_task(until_closed(one.proxy.port)) for _ in range(SILENT)]
        try:
            # Those that find no room are closed at once.
            async with asyncio.timeout(60):
                while sum(task.done() for task in silent) < SILENT - LIMIT:
                    await asyncio.sleep(POLL)
            one.proxy.config_path.touch()
            answered, answer = await one.admin("/reload", "POST", b"{}", **JSON)
            assert (answered, json.loads(answer)["generation"]) == (200, 2)
            one.proxy.config_path.touch()
            assert (await one.page()).status in {200, 503}  # it has its connection, and an answer on it
        finally:
            for task in silent:
                task.cancel()
            await asyncio.gather(*silent, return_exceptions=True)
        async with asyncio.timeout(60):
            while not await accepted(one):
                await asyncio.sleep(POLL)
        assert json.loads((await one.admin("/readyz"))[1])["generation"] == 2
        # Clients may have been refused meanwhile. That descriptors are used up must not have been.
        assert "nearly used up" not in one.proxy.log_text()
        assert warnings(one)[:1] == said


async def until_closed(port: int) -> None:
    """Connect, say nothing, and wait until the other end has had enough."""
    with suppress(ConnectionError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await reader.read()
        finally:
            writer.close()


async def accepted(one: Rig) -> bool:
    """Whether a new connection is answered."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", one.proxy.port)
        with closing(writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return (await reader.readline()).startswith(b"HTTP/1.1 ")
    except ConnectionError:
        return False
