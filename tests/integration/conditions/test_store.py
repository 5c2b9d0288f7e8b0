"""A store of the limits that is lost, or refuses, is told with its address, the error's first word and the cost."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from fsproxy.state.redis.servers.refusals import NO_FIRST_ANSWER
from support.proxy import POLL, RunningProxy, running_proxy
from support.refusing_store import refusing_store
from support.told import alert, ask, begun, ended
from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer, running_valkey
from support.workers import visit


def config(upstream: RecordingUpstream, url: str, **state: Any) -> dict[str, Any]:
    shared = {"backend": "redis", "redis": {"url": url, "timeout": "2s"}, **state}
    return {"upstream": {"url": upstream.url}, "state": shared, "filters": {"quota": {"sessions": 1_000}}}


async def cost(proxy: RunningProxy) -> str:
    found = await alert(proxy, "store")
    assert found is not None
    return str(found["more"])


async def test_one_that_goes_and_comes_back_is_told_each_way_and_what_it_costs() -> None:
    async with RecordingUpstream() as upstream, aiohttp.ClientSession() as http:
        with running_valkey("SECRET", maxmemory="100mb", maxmemory_policy="noeviction") as valkey:
            async with running_proxy(config(upstream, valkey.url)) as proxy:
                assert await visit(http, proxy, "s1") is None
                valkey.kill()
                line = await begun(proxy, "store")
                down, cause = line["message"].split(": ")
                assert down == f"the store 127.0.0.1:{valkey.port} is down"
                assert cause in {"connection refused", "connection reset by peer", NO_FIRST_ANSWER}
                assert line["fsproxy.address"] == f"127.0.0.1:{valkey.port}"
                assert await visit(http, proxy, "s2") is None
                assert "are not limited until it is back" in await cost(proxy)
                valkey.start()
                end = await ended(proxy, "store")
                assert end["fsproxy.count"] >= 1
                valkey.pause()
                assert await visit(http, proxy, "s3") is None
                line = await begun(proxy, "store", times=2)
                assert line["fsproxy.kind"] == "it does not answer in time"
                valkey.resume()
                await ended(proxy, "store", times=2)
                assert "SECRET" not in proxy.log_text()


async def test_where_pages_are_blocked_without_it_that_is_said() -> None:
    async with RecordingUpstream() as upstream, refusing_store("LOADING Redis is loading") as url:
        async with running_proxy(config(upstream, url, on_error="block")) as proxy:
            await begun(proxy, "store")
            assert "New pages are blocked with code -1" in await cost(proxy)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ("MOVED 866 10.0.0.9:6379", "MOVED"),
        ("LOADING Redis is loading the dataset in memory", "LOADING"),
        ("NOAUTH Authentication required.", "NOAUTH"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS"),
        ("NOPERM this user has no permissions to run the 'script|load' command", "NOPERM"),
        ("MISCONF Redis is configured to save RDB snapshots, secret PLANTED", "MISCONF"),
    ],
)
async def test_the_first_word_of_a_servers_error_is_told_and_no_more_of_it(error: str, word: str) -> None:
    async with RecordingUpstream() as upstream, refusing_store(error) as url:
        async with running_proxy(config(upstream, url)) as proxy:
            line = await begun(proxy, "store")
            assert line["fsproxy.kind"] == word
            assert str(line["message"]).endswith(f"is down: it answers {word}")
            log = proxy.log_text()
    assert "PLANTED" not in log
    assert "SECRET" not in log


def limited(valkey: ValkeyServer) -> None:
    valkey.command("ACL", "SETUSER", "limited", "on", ">word", "~*", "+@all", "-evalsha", "-eval")


@pytest.mark.parametrize(
    ("spoil", "mend", "word"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "OOM"),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "READONLY"),
    ],
)
async def test_one_that_takes_no_writes_is_told_by_its_word(
    spoil: tuple[str, ...], mend: tuple[str, ...], word: str
) -> None:
    async with RecordingUpstream() as upstream, aiohttp.ClientSession() as http:
        with running_valkey() as valkey:
            async with running_proxy(config(upstream, valkey.url)) as proxy:
                valkey.command(*spoil)
                assert await visit(http, proxy, "s1") is None
                assert (await begun(proxy, "store"))["fsproxy.kind"] == word
                valkey.command(*mend)
                await ended(proxy, "store")


async def test_a_user_without_the_right_is_told_until_it_has_it() -> None:
    async with RecordingUpstream() as upstream:
        with running_valkey() as valkey:
            limited(valkey)
            url = valkey.url.replace("redis://", "redis://limited:word@")
            async with running_proxy(config(upstream, url)) as proxy:
                assert (await begun(proxy, "store"))["fsproxy.kind"] == "NOPERM"
                valkey.command("ACL", "SETUSER", "limited", "+@all")
                await ended(proxy, "store")


async def test_one_that_is_emptied_under_a_living_connection_is_told_each_time() -> None:
    async with RecordingUpstream() as upstream, aiohttp.ClientSession() as http:
        with running_valkey(maxmemory="100mb", maxmemory_policy="noeviction") as valkey:
            async with running_proxy(config(upstream, valkey.url)) as proxy:
                assert await visit(http, proxy, "s1") is None
                while (since := (await ask(proxy, "/readyz"))["store"]["kept_since"]) is None:
                    await asyncio.sleep(POLL)
                valkey.command("FLUSHALL")
                line = await begun(proxy, "store:lost:1")
                assert (line["message"], line["fsproxy.kind"]) == (
                    f"the store 127.0.0.1:{valkey.port} came back empty",
                    "empty",
                )
                found = await alert(proxy, "store:lost:1")
                assert found is not None
                assert "Units of quotas" in found["more"]
                assert (await ask(proxy, "/readyz"))["store"]["kept_since"] > since
                valkey.kill()
                valkey.start()
                await begun(proxy, "store:lost:2")
                async with http.get(f"{proxy.admin_url}/metrics") as answer:
                    assert 'fsproxy_store_losses_total{kind="empty"} 2.0' in await answer.text()


async def test_one_that_evicts_keys_is_told_with_its_policy() -> None:
    async with RecordingUpstream() as upstream:
        with running_valkey(maxmemory="100mb", maxmemory_policy="allkeys-lru") as valkey:
            async with running_proxy(config(upstream, valkey.url)) as proxy:
                line = await begun(proxy, "store:policy", "warn")
                assert line["fsproxy.policy"] == "allkeys-lru"
