"""What is only remembered: bounded, cheap, and never silently off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from fsproxy.core.model import FilterName, Hit, Rule
from fsproxy.core.reasons import ReasonCode
from fsproxy.state.cache import BlockedPages, Repeats, refuse_disabled
from fsproxy.state.memory.cache import BoundedMemoryCache


class Cache(BoundedMemoryCache):
    """On a clock that the test moves."""

    now = 1_000.0

    def clock(self) -> float:
        return self.now


HIT = Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:block:10.0.0.0/8", "fsproxy.yaml:3:9"))


def without_suspending(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end in one step, without an event loop; fails if anything is waited for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    pytest.fail("it suspended")


async def test_what_is_set_is_there_until_its_time_is_over() -> None:
    cache = Cache(10)
    await cache.set("a", 1, ttl=5)
    await cache.set("b", 2)
    cache.now += 4.75
    assert await cache.multi_get(["a", "b", "c"]) == [1, 2, None]
    cache.now += 0.25
    assert await cache.get("a") is None
    assert await cache.get("b") == 2


async def test_no_timer_is_left_in_the_event_loop() -> None:
    """The memory cache of aiocache itself leaves one for every key."""
    before = list(asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]  # asyncio tells it nowhere else
    cache = BoundedMemoryCache(1_000)
    await cache.set("k", 1, ttl=60)
    await cache.keep("o", [("l", 1)], 60.0, at_once=True)
    assert list(asyncio.get_running_loop()._scheduled) == before  # type: ignore[attr-defined]


async def test_full_the_entry_set_longest_ago_goes_first_and_is_counted() -> None:
    cache = Cache(3)
    for key in "abc":
        await cache.set(key, key, ttl=60)
    await cache.set("a", "again", ttl=60)
    await cache.set("d", "d", ttl=60)
    assert await cache.multi_get(list("abcd")) == ["again", None, "c", "d"]
    assert len(cache) == 3
    assert cache.evicted == 1


async def test_what_is_over_makes_room_before_anything_is_evicted() -> None:
    cache = Cache(3)
    for key in "abc":
        await cache.set(key, key, ttl=60)
    cache.now += 60
    for key in "defg":
        await cache.set(key, key, ttl=60)
    assert await cache.multi_get(list("efg")) == ["e", "f", "g"]
    assert cache.evicted == 1
    assert len(cache) == 3


@pytest.mark.parametrize(
    "ask",
    [
        lambda cache: cache.add("a", 1),
        lambda cache: cache.delete("a"),
        lambda cache: cache.exists("a"),
        lambda cache: cache.expire("a", 1),
        lambda cache: cache.increment("a"),
        lambda cache: cache.clear(),
    ],
    ids=["add", "delete", "exists", "expire", "increment", "clear"],
)
async def test_what_it_does_not_know_of_aiocaches_interface_is_refused(ask: Callable[[Cache], Awaitable[Any]]) -> None:
    with pytest.raises(NotImplementedError):
        await ask(Cache(10))


def test_nothing_suspends_on_the_hot_path() -> None:
    cache = BoundedMemoryCache(10)
    pages, repeats = BlockedPages(cache), Repeats(cache)
    without_suspending(pages.remember("o", "p", HIT))
    assert without_suspending(pages.find("o", "p")) is not None
    without_suspending(repeats.remember("o", [(b"digest", b"verdict")]))
    assert without_suspending(repeats.find([b"digest"])) == [b"verdict"]


async def test_a_blocked_page_is_known_with_its_reason_for_24_hours() -> None:
    cache = Cache(10)
    pages = BlockedPages(cache)
    await pages.remember("o", "p", HIT)
    cache.now += 24 * 3_600 - 1
    found = await pages.find("o", "p")
    assert found == Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:block:10.0.0.0/8"))
    assert await pages.find("other", "p") is None
    assert await pages.find("o", "other") is None
    cache.now += 1
    assert await pages.find("o", "p") is None


@pytest.mark.parametrize("code", list(ReasonCode))
async def test_every_reason_is_remembered_as_it_is(code: ReasonCode) -> None:
    pages = BlockedPages(Cache(10))
    await pages.remember("o", "p", Hit(FilterName.BLOCKED_USER, code, Rule("r")))
    found = await pages.find("o", "p")
    assert found is not None
    assert found.code is code


async def test_a_page_without_id_is_never_known() -> None:
    """Builds of 2022 send none (wire.md 1)."""
    cache = Cache(10)
    pages = BlockedPages(cache)
    await pages.remember("o", "", HIT)
    assert await pages.find("o", "") is None
    assert len(cache) == 0


async def test_hostile_ids_are_remembered_at_the_cost_of_any_other() -> None:
    cache = Cache(10)
    pages = BlockedPages(cache)
    await pages.remember("\ud800", "x" * 100_000, HIT)
    assert await pages.find("\ud800", "x" * 100_000) is not None
    assert max(len(key) for key in cache._cache) < 64


@pytest.mark.parametrize("kept", [b"\x93\x63\xa1r\xa2ip", b"\x93\x05\xa1r\xa3new", b"\xff", b""])
async def test_an_entry_of_another_version_is_not_known(kept: bytes) -> None:
    cache = Cache(10)
    pages = BlockedPages(cache)
    await pages.remember("o", "p", HIT)
    (key,) = cache._cache
    await cache.set(key, kept)
    assert await pages.find("o", "p") is None


async def test_the_first_copys_verdict_speaks_for_10_minutes() -> None:
    cache = Cache(10)
    repeats = Repeats(cache)
    await repeats.remember("o", [(b"\x00a", b"passed"), (b"\x00b", b"limited")])
    cache.now += 599
    assert await repeats.find([b"\x00b", b"\x00c", b"\x00a"]) == [b"limited", None, b"passed"]
    cache.now += 1
    assert await repeats.find([b"\x00a", b"\x00b"]) == [None, None]


async def test_no_calls_ask_nothing() -> None:
    cache = Cache(10)
    repeats = Repeats(cache)
    await repeats.remember("o", [])
    assert await repeats.find([]) == []
    assert len(cache) == 0


@pytest.mark.parametrize("value", ["1", "true", "YES", "on", " 1 "])
def test_a_disabled_cache_refuses_the_start(value: str) -> None:
    message = refuse_disabled({"AIOCACHE_DISABLE": value})
    assert message is not None
    assert "AIOCACHE_DISABLE" in message


@pytest.mark.parametrize("environ", [{}, {"AIOCACHE_DISABLE": ""}, {"AIOCACHE_DISABLE": "0"}])
def test_a_cache_that_is_not_disabled_starts(environ: dict[str, str]) -> None:
    assert refuse_disabled(environ) is None
