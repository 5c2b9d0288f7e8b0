"""A flood of ids that clients choose leaves a bounded number of keys in a real Valkey (rules.md 5)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from fsproxy.state.redis.script import BLOCK_SECONDS
from fsproxy.state.stores import PAGE_WRITES
from support.proxy import RunningProxy, running_proxy
from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer, running_valkey

PAGES, AT_ONCE = 2_000, 25


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as server:
        yield server


def config(upstream: RecordingUpstream, valkey: ValkeyServer) -> dict[str, Any]:
    return {
        "upstream": {"url": upstream.url},
        "state": {"backend": "redis", "redis": {"url": valkey.url, "timeout": "10s"}},
        "filters": {"quota": {"sessions": 2}, "domain": {"rules": [{"block": "bad.example"}]}},
    }


async def page(http: aiohttp.ClientSession, proxy: RunningProxy, org: str, host: str, number: int) -> int:
    """Return the reason code of the answer; 0 means captured."""
    ids = {"UserId": f"u{number}", "SessionId": f"s{number}", "PageId": f"p{number}"}
    body = {"OrgId": org, "Url": f"https://{host}/", **ids}
    async with http.post(f"{proxy.url}/rec/page", json=body) as response:
        answer = await response.json(content_type=None)
        return 0 if response.status == 200 else int(answer["reason_code"])


async def counted(http: aiohttp.ClientSession, proxy: RunningProxy, sample: str) -> float:
    async with http.get(f"{proxy.admin_url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{sample} "))


async def ready(http: aiohttp.ClientSession, proxy: RunningProxy) -> dict[str, Any]:
    async with http.get(f"{proxy.admin_url}/readyz") as response:
        body: dict[str, Any] = await response.json()
        return body


def page_lives(valkey: ValkeyServer) -> list[int]:
    """Return the time to live, in seconds, of every blocked page that the store knows."""
    script = "local t = {} for _, k in ipairs(redis.call('KEYS', ARGV[1])) do t[#t + 1] = redis.call('TTL', k) end"
    told = valkey.command("EVAL", f"{script} return cjson.encode(t)", "0", "fsproxy:1:*:b:*")
    found = json.loads(told.partition(b"\r\n")[2] or b"{}")
    return [int(each) for each in found]


async def test_blocked_pages_of_a_clients_choice_leave_few_keys_and_all_limits_in_force(
    upstream: RecordingUpstream, valkey: ValkeyServer
) -> None:
    async with running_proxy(config(upstream, valkey)) as proxy, aiohttp.ClientSession() as http:
        assert await page(http, proxy, "other", "good.example", -1) == 0
        began = time.monotonic()
        for start in range(0, PAGES, AT_ONCE):
            flood = (page(http, proxy, "flood", "bad.example", start + n) for n in range(AT_ONCE))
            assert set(await asyncio.gather(*flood)) == {4}
        seconds = time.monotonic() - began
        lives = page_lives(valkey)
        assert len(lives) <= PAGE_WRITES[0] * (seconds + 2)
        assert max(lives) <= BLOCK_SECONDS
        skipped = await counted(http, proxy, 'fsproxy_store_writes_skipped_total{what="blocked_pages"}')
        assert len(lives) + skipped == PAGES
        # The process that blocked a page still knows it, also beyond the rate.
        bundle = f"{proxy.url}/rec/bundle?OrgId=flood&UserId=u&SessionId=s&PageId=p{PAGES - 1}&Seq=1"
        async with http.post(bundle, data=b'{"Seq":1,"When":0,"Evts":[]}') as response:
            assert response.status == 202
        assert [await page(http, proxy, "other", "good.example", number) for number in (-2, -3)] == [0, 3]
        assert (await ready(http, proxy))["store"]["state"] == "up"
        assert ("more blocked pages are new than may be written" in proxy.log_text()) == bool(skipped)


async def test_a_store_that_is_nearly_full_is_a_warning_while_the_limits_go_on(
    upstream: RecordingUpstream, valkey: ValkeyServer
) -> None:
    valkey.command("SETRANGE", "filler", str(54 << 20), "x")
    valkey.command("CONFIG", "SET", "maxmemory", str(64 << 20))
    full = f"the store 127.0.0.1:{valkey.port} uses more than 80 % of its memory"
    async with running_proxy(config(upstream, valkey)) as proxy, aiohttp.ClientSession() as http:
        async with asyncio.timeout(120):
            while full not in (body := await ready(http, proxy))["warnings"]:
                await asyncio.sleep(0.05)
        assert body["status"] == "ready"
        memory = body["store"]["memory"]
        assert (memory["policy"], memory["used"] > 0.8 * memory["max"]) == ("noeviction", True)
        assert await counted(http, proxy, "fsproxy_store_used_bytes") == memory["used"]
        assert await counted(http, proxy, "fsproxy_store_max_bytes") == memory["max"]
        assert [await page(http, proxy, "o", "good.example", number) for number in range(3)] == [0, 0, 3]
        assert proxy.log_text().count(full) == 1
