"""Real proxies on a real Valkey: what the loss of the store costs, and what instances count together."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from fsproxy.config.problems import HostError
from fsproxy.config.schema import StateBackend, StateConfig
from fsproxy.core.limits.operations import Claim, NameKind
from fsproxy.core.model import Instant
from fsproxy.state.memory.ledger import Bounds, MemoryLedger
from fsproxy.state.stores import make_stores
from support.ledgers import at_once
from support.proxy import RunningProxy, running_proxy
from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer, running_valkey, wait_until

PATIENCE = 120.0
LIMIT = "5s"
"""Of a round trip: a store that is there answers within it on a busy machine, too, or limits would rest."""


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey("pass-SECRET") as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def config(upstream: RecordingUpstream, url: str, *, on_error: str = "allow", sessions: int = 2) -> dict[str, Any]:
    return {
        "upstream": {"url": upstream.url},
        "state": {"backend": "redis", "redis": {"url": url, "timeout": LIMIT}, "on_error": on_error},
        "filters": {"quota": {"sessions": sessions}},
    }


async def page(client: aiohttp.ClientSession, proxy: RunningProxy, session: str) -> int:
    """The reason code of the answer; 0: captured."""
    body = {"OrgId": "o-1ABC-na1", "Url": "https://example.com/", "UserId": session, "SessionId": session}
    async with client.post(f"{proxy.url}/rec/page", json=body) as response:
        answer = await response.json(content_type=None)
        return 0 if response.status == 200 else int(answer["reason_code"])


async def store_state(client: aiohttp.ClientSession, proxy: RunningProxy) -> str:
    async with client.get(f"{proxy.admin_url}/readyz") as response:
        assert response.status == 200, "the store is no reason to be taken out of service"
        return str((await response.json())["store"]["state"])


async def reach(client: aiohttp.ClientSession, proxy: RunningProxy, state: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await store_state(client, proxy) != state:
            await asyncio.sleep(0.02)


async def metric(client: aiohttp.ClientSession, proxy: RunningProxy, name: str) -> float:
    async with client.get(f"{proxy.admin_url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


async def test_limits_are_not_enforced_while_the_store_is_down_and_are_when_it_is_back(
    upstream: RecordingUpstream, valkey: ValkeyServer, client: aiohttp.ClientSession
) -> None:
    valkey.kill()
    async with running_proxy(config(upstream, valkey.url)) as proxy:
        assert [await page(client, proxy, f"a{n}") for n in range(3)] == [0, 0, 0]
        assert await store_state(client, proxy) == "down"
        assert await metric(client, proxy, "fsproxy_store_up") == 0
        assert await metric(client, proxy, "fsproxy_store_failures_total") > 0
        valkey.start()
        await reach(client, proxy, "up")
        assert [await page(client, proxy, f"b{n}") for n in range(3)] == [0, 0, 3]
        assert await metric(client, proxy, "fsproxy_store_up") == 1
        assert await metric(client, proxy, "fsproxy_store_round_trips_total") > 0
        assert await metric(client, proxy, "fsproxy_store_connections") in {1, 2, 3}
        assert await metric(client, proxy, "fsproxy_store_watched") == 1
        valkey.pause()
        assert [await page(client, proxy, f"c{n}") for n in range(3)] == [0, 0, 0]
        assert await store_state(client, proxy) == "down"
        valkey.resume()
        await reach(client, proxy, "up")
        assert await page(client, proxy, "d") == 3
        log = proxy.log_text()
    assert "SECRET" not in log
    place = f"127.0.0.1:{valkey.port}"
    begun = [line for line in log.splitlines() if f"the store {place} is down: " in line and "over: " not in line]
    assert len(begun) == 2
    assert log.count(f"over: the store {place} is down") == 2


async def test_with_on_error_block_new_pages_are_blocked_and_sessions_under_way_go_on(
    upstream: RecordingUpstream, valkey: ValkeyServer, client: aiohttp.ClientSession
) -> None:
    async with running_proxy(config(upstream, valkey.url, on_error="block")) as proxy:
        assert await page(client, proxy, "a") == 0
        assert await page(client, proxy, "a") == 0
        valkey.kill()
        await reach(client, proxy, "down")
        assert await page(client, proxy, "b") == -1
        bundle = f"{proxy.url}/rec/bundle?OrgId=o-1ABC-na1&UserId=b&SessionId=b&PageId=p&Seq=1"
        async with client.post(bundle, json={"Evts": []}) as response:
            assert response.status == 200
        valkey.start()
        await reach(client, proxy, "up")
        assert await page(client, proxy, "b") == 0


@pytest.mark.slow
async def test_two_proxies_admit_together_exactly_the_quota(
    upstream: RecordingUpstream, valkey: ValkeyServer, client: aiohttp.ClientSession
) -> None:
    async with AsyncExitStack() as stack:
        both = config(upstream, valkey.url, sessions=50)
        both["state"]["redis"]["timeout"] = "20s"
        proxies = [await stack.enter_async_context(running_proxy(both)) for _ in range(2)]
        codes = await asyncio.gather(*(page(client, proxies[n % 2], f"s{n}") for n in range(200)))
    assert sorted(set(codes)) == [0, 3]
    assert codes.count(0) == 50


async def test_a_page_that_one_proxy_blocked_is_known_to_the_other(
    upstream: RecordingUpstream, valkey: ValkeyServer, client: aiohttp.ClientSession
) -> None:
    settings = config(upstream, valkey.url)
    settings["state"]["redis"]["timeout"] = "20s"
    settings["filters"]["domain"] = {"rules": [{"block": "example.com"}]}
    async with running_proxy(settings) as one, running_proxy(settings) as other:
        body = {"OrgId": "o", "Url": "https://example.com/", "PageId": "p", "UserId": "u", "SessionId": "s"}
        async with client.post(f"{one.url}/rec/page", json=body) as response:
            assert response.status == 202
        # The answer does not wait for the store, and a question that overtakes the block would be believed for a minute.
        await asyncio.to_thread(wait_until, lambda: valkey.ask("KEYS", "*{o}:b:*"), "the store has no block")
        bundle = f"{other.url}/rec/bundle?OrgId=o&UserId=u&SessionId=s&PageId=p&Seq=1"
        async with client.post(bundle, json={"Evts": []}) as response:
            assert response.status == 202


def test_a_store_whose_library_is_not_installed_is_said_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsproxy.state.redis.ledger", None)
    with pytest.raises(HostError, match=r"state\.backend: needs redis-py.*pip install fsproxy\[redis\]"):
        make_stores(StateConfig(backend=StateBackend.REDIS))


def test_what_had_to_go_before_its_time_is_counted_by_what_it_was() -> None:
    stores = replace(make_stores(StateConfig(persist=None)), memory=MemoryLedger(Bounds(names=1)))
    assert stores.memory is not None
    for org in ("a", "b", "c"):
        at_once(stores.memory, (Claim(org, NameKind.EVENT_NAME, ("x",), 9, 60.0),), Instant(1.0))
    (family,) = (each for each in stores.collect() if each.name == "fsproxy_evictions")
    counted = {each.labels["what"]: each.value for each in family.samples}
    assert counted.pop("names") == 2
    kinds = {
        "ids",
        "uids",
        "reservations",
        "admitted",
        "orgs",
        "rates",
        "page_clocks",
        "page_names",
        "blocked_pages",
        "repeats",
    }
    assert counted == dict.fromkeys(kinds, 0)
