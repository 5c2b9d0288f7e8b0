"""``serve --take-over``: the program is replaced under load, and nobody is refused."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import fsproxy
from support.proxy import RunningProxy, running_proxy
from support.raw_http import raw_client
from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer
from support.workers import DEADLINE, POLL, fresh_connections, ready, shared, visit

CLIENTS = 4
REPLACED_SECONDS = 400.0
"""The second start imports and forks beside the first and the clients; on a busy machine that takes minutes."""


@asynccontextmanager
async def successor(proxy: RunningProxy, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A second start with the same configuration; ended by SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fsproxy", "serve", *options, "--config", str(proxy.config_path)),
        cwd=proxy.folder,
        env={**os.environ, "PYTHONPATH": str(Path(fsproxy.__file__).parents[1])},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE):
            await process.communicate()
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def instance(http: aiohttp.ClientSession, proxy: RunningProxy) -> str:
    return str((await ready(http, proxy))["instance"])


@pytest.mark.parametrize(("workers", "host"), [(1, "127.0.0.1"), (2, "127.0.0.1"), (2, "::")])
async def test_a_second_start_takes_over_without_a_refused_connection(
    upstream: RecordingUpstream, valkey: ValkeyServer, workers: int, host: str
) -> None:
    config: dict[str, Any] = shared(upstream.url, valkey, workers=workers)
    config |= {"listen": {"host": host}, "admin": {"host": host}}
    async with running_proxy(config) as first, fresh_connections() as http:
        before = await instance(http, first)
        done = asyncio.Event()
        served = 0

        async def client(name: int) -> None:
            nonlocal served
            while not done.is_set():
                served += 1
                assert await visit(http, first, f"{name}-{served}") is None
                await asyncio.sleep(POLL)

        async with successor(first, "--take-over"), asyncio.TaskGroup() as group:
            for name in range(CLIENTS):
                group.create_task(client(name))
            async with asyncio.timeout(REPLACED_SECONDS):
                assert await first.process.wait() == 0
            at_hand_over = served
            while served < at_hand_over + 100:
                await asyncio.sleep(POLL)
            assert await instance(http, first) != before
            done.set()


async def test_with_nobody_to_take_over_it_is_a_start_like_any_other(upstream: RecordingUpstream) -> None:
    command = (sys.executable, "-m", "fsproxy", "serve", "--take-over")
    async with (
        running_proxy({"upstream": {"url": upstream.url}}, command=command) as proxy,
        fresh_connections() as http,
    ):
        assert await visit(http, proxy, "s-1") is None


async def test_without_the_option_a_second_start_is_refused(upstream: RecordingUpstream) -> None:
    async with running_proxy({"upstream": {"url": upstream.url}}) as first, fresh_connections() as http:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fsproxy", "serve", "--config", str(first.config_path)),
            cwd=first.folder,
            env={**os.environ, "PYTHONPATH": str(Path(fsproxy.__file__).parents[1])},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        assert process.returncode == 1
        assert b"in use" in said
        assert await visit(http, first, "s-1") is None


async def test_only_who_is_named_drains(upstream: RecordingUpstream) -> None:
    async with running_proxy({"upstream": {"url": upstream.url}}) as first, fresh_connections() as http:
        async with http.post(f"{first.admin_url}/drain", json={"instance": "another"}) as response:
            assert response.status == 409
        async with http.post(f"{first.admin_url}/drain", json={}) as response:
            assert response.status == 400
        assert (await ready(http, first))["status"] == "ready"


async def test_a_connection_in_use_ends_with_an_answer_before_idle_ones_are_closed(upstream: RecordingUpstream) -> None:
    request = b"POST /rec/page HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
    async with running_proxy({"upstream": {"url": upstream.url}}) as first, fresh_connections() as http:
        async with raw_client(first.port) as used:
            named = {"instance": await instance(http, first)}
            async with http.post(f"{first.admin_url}/drain", json=named) as response:
                assert response.status == 200
            answers = [await used.ask(request)]
            while answers[-1].value("connection") != b"close":
                assert len(answers) < 20, "what is in use goes on until it is closed as idle"
                answers.append(await used.ask(request))
            assert await used.closed()
