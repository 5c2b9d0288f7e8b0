"""One trial of two workers: what both find is added up, and what one refuses none tries. And a reload that is held back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from support.proxy import POLL, RunningProxy
from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer, running_valkey
from support.workers import DEADLINE, fresh_connections, ready, running_workers, shared

pytestmark = pytest.mark.asyncio(loop_scope="module")
BLOCKS = {"filters": {"ip": {"block": ["10.0.0.0/8"]}}}


@pytest.fixture(scope="module")
def valkey() -> Any:
    with running_valkey() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[RecordingUpstream]:
    async with RecordingUpstream() as running:
        yield running


async def page(http: aiohttp.ClientSession, proxy: RunningProxy, number: int, address: str) -> int:
    body = {
        "OrgId": "o-1",
        "UserId": "",
        "SessionId": f"s{number}",
        "PageId": f"p{number}",
        "Url": "https://a.example/",
    }
    headers = {"X-Forwarded-For": address}
    async with http.post(f"{proxy.url}/rec/page", data=json.dumps(body), headers=headers) as response:
        await response.read()
        return response.status


async def ask(http: aiohttp.ClientSession, proxy: RunningProxy, method: str, path: str, body: Any = None) -> Any:
    async with http.request(method, proxy.admin_url + path, json=body) as response:
        return response.status, await response.json()


async def test_both_workers_judge_and_what_they_find_is_one(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    config = shared(upstream.url, valkey)
    async with running_workers(config, tmp_path) as proxy, fresh_connections() as http:
        text = json.dumps({"upstream": {"url": upstream.url}, **BLOCKS, "client_api": {"rate": {"event": ["1/s"]}}})
        asked = {"config": text, "name": "new.yaml", "share": 1}
        status, begun = await ask(http, proxy, "POST", "/api/try", asked)
        assert (status, begun["state"], begun["workers"]) == (200, "running", {"configured": 2, "answered": 2})
        status, refused = await ask(http, proxy, "POST", "/api/try", asked)
        assert (status, "is being tried" in refused["error"]) == (409, True)
        for number in range(40):
            assert await page(http, proxy, number, f"10.0.{number % 2}.{number}") == 200
        status, found = await ask(http, proxy, "GET", "/api/try")
        assert (found["pages"], found["changed"], found["undecidable"]) == (40, 40, 0)
        (change,) = found["changes"]
        assert (change["pages"], change["new"]["code"], len(change["examples"])) == (40, 5, 5)
        status, ended = await ask(http, proxy, "DELETE", "/api/try")
        assert (status, ended["state"], ended["ended_because"]) == (200, "ended", "it was stopped")
        status, faulty = await ask(http, proxy, "POST", "/api/try", {"config": "mode: shaddow\n"})
        assert (status, faulty["fault_count"] > 0) == (400, True)
        assert (await ask(http, proxy, "GET", "/api/try"))[1]["state"] == "ended"


async def test_what_workers_hold_back_is_taken_by_all_with_force_and_by_their_replacements(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    config = shared(upstream.url, valkey, reload={"max_change": "5%"})
    async with running_workers(config, tmp_path) as proxy, fresh_connections() as http:
        for number in range(40):
            assert await page(http, proxy, number, "10.0.0.1") == 200
        proxy.write_config({**config, **BLOCKS})
        status, outcome = await ask(http, proxy, "POST", "/reload", {})
        assert (status, outcome["generation"]) == (409, 1)
        assert outcome["held_back"]["changed_share"] == 1
        assert any("is held back" in each for each in (await ready(http, proxy))["warnings"])
        assert (await ask(http, proxy, "GET", "/api/config"))[1]["held_back"]["changes"][0]["new"]["code"] == 5
        assert await page(http, proxy, 41, "10.0.0.1") == 200
        status, outcome = await ask(http, proxy, "POST", "/reload", {"force": True})
        assert (status, outcome["held_back"], set(outcome["workers"].values())) == (200, None, {2})
        async with asyncio.timeout(DEADLINE):
            while [each for each in (await ready(http, proxy))["warnings"] if "held back" in each]:
                await asyncio.sleep(POLL)
        assert await page(http, proxy, 42, "10.0.0.1") == 202
