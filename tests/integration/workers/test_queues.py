"""No connection is refused or reset while workers are replaced: the supervisor keeps the queues."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import aiohttp

from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer
from support.workers import DEADLINE, counted, fresh_connections, gone, pids, ready, replaced, running_workers, shared

CONNECTIONS = 40


async def page(http: aiohttp.ClientSession, url: str, session: str) -> int:
    body = {"OrgId": "o-1", "UserId": "", "SessionId": session, "PageId": f"p-{session}", "Url": "https://example.com/"}
    async with http.post(f"{url}/rec/page", data=json.dumps(body)) as response:
        await response.read()
        return response.status


async def all_served(http: aiohttp.ClientSession, url: str, name: str) -> bool:
    """Each page takes a connection of its own."""
    async with asyncio.timeout(DEADLINE):
        statuses = await asyncio.gather(*(page(http, url, f"{name}-{number}") for number in range(CONNECTIONS)))
    return statuses == [200] * CONNECTIONS


async def test_connections_wait_while_all_workers_are_dead_and_the_others_serve_those_of_one(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    async with running_workers(shared(upstream.url, valkey), tmp_path) as proxy, fresh_connections() as http:
        before = await pids(http, proxy)
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        await gone(*before.values())
        assert await all_served(http, proxy.url, "dead")
        now = await replaced(http, proxy, before)
        for number in before:
            assert f"worker {number} of 2 is missing: killed by SIGKILL" in proxy.log_text()
            assert f"over: worker {number} of 2 is missing" in proxy.log_text()
        # One that an operator stops accepts no more, while it finishes what it has.
        upstream.hold()
        held = asyncio.create_task(all_served(http, proxy.url, "held"))
        await upstream.arrived(CONNECTIONS)
        os.kill(now["1"], signal.SIGTERM)
        upstream.release()
        assert await held
        assert await all_served(http, proxy.url, "leaving")
        await replaced(http, proxy, now)
        assert (await ready(http, proxy))["warnings"] == ["workers end again and again"]
        assert await counted(http, proxy, "fsproxy_workers_replaced_total") == 3


async def test_workers_share_a_unix_socket(upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path) -> None:
    path = tmp_path / "data.sock"
    config = shared(upstream.url, valkey, listen={"unix": str(path)})
    async with (
        running_workers(config, tmp_path) as proxy,
        fresh_connections() as admin,
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path), force_close=True, limit=0)) as http,
    ):
        before = await pids(admin, proxy)
        assert await all_served(http, "http://proxy", "both")
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        await gone(*before.values())
        assert await all_served(http, "http://proxy", "none")
        await replaced(admin, proxy, before)
    assert not path.exists()
