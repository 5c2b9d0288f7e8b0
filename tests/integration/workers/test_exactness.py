"""Two proxies of two workers each over one Valkey judge as one."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.proxy import RunningProxy
from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer
from support.workers import DEADLINE, POLL, fresh_connections, ready, running_workers, shared, visit

QUOTA, VISITORS, RUNS = 100, 300, 20
NAMES, RATE, CALLS = 50, 30, 150
Answer = tuple[int, str | None]


async def event(http: aiohttp.ClientSession, proxy: RunningProxy, name: str, session: str) -> Answer:
    """A direct call: its status, and the code it was rejected with."""
    target = f"{proxy.url}/client/event?OrgId=o-1&UserId=u-1&SessionId={session}&PageId=p-1"
    async with http.post(target, json={"name": name, "properties": {}}) as response:
        rejected = response.status != 200
        code = (await response.json(content_type=None))["errors"][0]["code"] if rejected else None
        return response.status, code


@pytest.mark.slow
async def test_four_processes_admit_exactly_the_quota_however_many_come_at_once(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    """Twenty times from an empty store: never one more, never one fewer."""
    config = shared(upstream.url, valkey, filters={"quota": {"sessions": QUOTA}})
    admitted = []
    async with (
        running_workers(config, tmp_path) as one,
        running_workers(config, tmp_path) as other,
        fresh_connections() as http,
    ):
        for run in range(RUNS):
            assert valkey.command("FLUSHALL") == b"+OK\r\n"
            codes = await asyncio.gather(
                *(visit(http, (one, other)[number % 2], f"{run}-{number}") for number in range(VISITORS))
            )
            assert set(codes) == {None, 3}
            admitted.append(codes.count(None))
    assert admitted == [QUOTA] * RUNS


@pytest.mark.slow
async def test_four_processes_accept_exactly_as_many_names_and_calls_as_there_may_be(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    """Names: each call with another name and session. Calls: all with one name, of one session."""
    limits = {"cardinality": {"event_names": NAMES}, "rate": {"event": [f"{RATE}/h"]}}
    config = shared(upstream.url, valkey, client_api=limits)
    async with (
        running_workers(config, tmp_path) as one,
        running_workers(config, tmp_path) as other,
        fresh_connections() as http,
    ):
        for run in range(RUNS):
            assert valkey.command("FLUSHALL") == b"+OK\r\n"
            named = await asyncio.gather(
                *(event(http, (one, other)[n % 2], f"name-{run}-{n}", f"s-{run}-{n}") for n in range(CALLS))
            )
            assert Counter(named) == {(200, None): NAMES, (400, "CardinalityExceeded"): CALLS - NAMES}
            assert valkey.command("FLUSHALL") == b"+OK\r\n"
            called = await asyncio.gather(*(event(http, (one, other)[n % 2], "name", f"t-{run}") for n in range(CALLS)))
            assert Counter(called) == {(200, None): RATE, (429, "RateLimited"): CALLS - RATE}


async def test_every_worker_knows_the_uid_of_a_session_under_way(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    """The uid is listed after two proxies of two workers have seen the session, so that each believes in an answer."""
    uid, sessions = "ann@example.com", [f"s-{number}" for number in range(4)]
    listed = tmp_path / "deleting.txt"
    listed.write_text("somebody-else\n")
    config = shared(upstream.url, valkey, filters={"deleting_user": {"block": [f"file:{listed}"]}})
    identify = {"Kind": 8193, "Args": ["user", json.dumps({"uid": uid})], "When": 1}

    async def bundle(proxy: RunningProxy, session: str, *events: dict[str, Any]) -> int:
        target = f"{proxy.url}/rec/bundle/v2?OrgId=o-1&SessionId={session}&PageId=p-{session}&Seq=1"
        async with http.post(target, data=json.dumps({"Seq": 1, "When": 0, "Evts": events})) as response:
            await response.read()
            return response.status

    async with (
        running_workers(config, tmp_path) as one,
        running_workers(config, tmp_path) as other,
        fresh_connections() as http,
    ):
        for session in sessions:
            assert {await bundle(proxy, session) for proxy in (one, other) * 4} == {200}
            assert await bundle(one, session, identify) == 200
        listed.write_text(f"{uid}\n")
        for proxy in (one, other):
            async with asyncio.timeout(DEADLINE):
                while {each["generation"] for each in (await ready(http, proxy))["workers"].values()} != {2}:
                    await asyncio.sleep(POLL)
        for session in sessions:
            assert {await bundle(proxy, session) for proxy in (one, other) * 4} == {202}
        assert await bundle(other, "another") == 200
