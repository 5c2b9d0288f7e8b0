"""``demo``: runs from any folder, asks nothing, and its three lines do what they say."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

import fsproxy
from fsproxy.config.loader import load
from support.commands import Command
from support.log_lines import log_lines
from support.ports import free_ports
from support.proxy import POLL

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Demo:
    """A demo that runs."""

    command: Command
    folder: Path
    port: int
    lines: list[str]
    """What it printed to try."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    folder = tmp_path_factory.mktemp("elsewhere")
    port, admin_port = free_ports(2)
    command = await Command.begin(folder, "demo", "--port", str(port), "--admin-port", str(admin_port))
    try:
        async with asyncio.timeout(120), aiohttp.ClientSession() as http:
            while not await _ready(http, f"http://127.0.0.1:{admin_port}/readyz"):
                assert command.process.returncode is None, command.errors()
                await asyncio.sleep(POLL)
        async with asyncio.timeout(120):
            while "operators' page" not in command.errors():
                await asyncio.sleep(POLL)
        last = log_lines(command.errors())[-1]
        assert last["message"] == f"The operators' page: http://127.0.0.1:{admin_port}/"
        yield Demo(command, folder, port, last["fsproxy.commands"])
    finally:
        command.process.kill()
        await command.ended()


async def _ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def _obey(line: str) -> tuple[int, Any]:
    """What a printed line gets, asked for without curl: not every machine has one."""
    words = shlex.split(line)
    assert words[:3] == ["curl", "-sS", "-i"]
    url, rest = words[3], words[4:]
    headers = dict(rest[at + 1].split(": ", 1) for at, word in enumerate(rest) if word == "-H")
    body = rest[rest.index("--data-raw") + 1]
    async with aiohttp.ClientSession() as http, http.post(url, data=body.encode(), headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def _received(demo: Demo) -> list[dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{demo.port}/_demo/received") as response,
    ):
        assert response.status == 200
        text = await response.text()
    found: list[dict[str, Any]] = json.loads(text)
    return found


async def test_three_lines_are_printed_for_the_port_that_it_listens_on(demo: Demo) -> None:
    assert len(demo.lines) == 3
    assert all(f"http://127.0.0.1:{demo.port}/" in line for line in demo.lines)


async def test_the_first_line_is_captured_the_second_blocked_and_the_third_mended(demo: Demo) -> None:
    captured, blocked, mended = [await _obey(line) for line in demo.lines]
    assert (captured[0], blocked[0], mended[0]) == (200, 202, 200)
    assert captured[1]["IsNewSession"] is True
    assert (blocked[1]["reason_code"], blocked[1]["reason"]) == (4, "Domain Filter")
    assert "BundleTime" in mended[1]
    text = json.dumps(await _received(demo))
    assert "blocked.example.com" not in text
    assert "Order Placed" in text
    assert "an event needs a name" not in text


async def test_it_leaves_nothing_where_it_was_started_and_stops_cleanly(demo: Demo) -> None:
    """The last of this module."""
    demo.command.process.terminate()
    async with asyncio.timeout(120):
        assert await demo.command.process.wait() == 0
    assert list(demo.folder.iterdir()) == []


async def test_without_options_it_is_on_8080_and_its_admin_on_8081() -> None:
    config = load(Path(fsproxy.__file__).parent / "demo" / "demo.yaml", {})
    assert (config.listen.port, config.admin.port) == (8080, 8081)
