"""What is only remembered: bounded, cheap, and never silently off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from fsproxy.config.problems import HostError
from fsproxy.core.model import FilterName, Hit, Rule
from fsproxy.core.reasons import ReasonCode
from fsproxy.state.memory.blocked_pages import BlockedPages
from fsproxy.state.memory.cache import BoundedMemoryCache
from fsproxy.state.repeats import Repeats, refuse_disabled


class Cache(BoundedMemoryCache):
    """On a clock that the test moves."""

    now = 1_000.0

    def clock(self) -> float:  # type: ignore[override]
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
    cache.put("l", 1, 60.0)
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


class Clock:
    """A memory's, that the test moves."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("fsproxy.state.memory.bounded_table.BoundedTable.clock", clock)
    return clock


async def found(pages: BlockedPages, org: str, page: str) -> Hit | None:
    return await pages.find(org, page)


def test_nothing_suspends_on_the_hot_path() -> None:
    pages, repeats = BlockedPages(), Repeats()
    pages.remember("o", "p", HIT)
    assert without_suspending(found(pages, "o", "p")) is not None
    assert without_suspending(found(pages, "o", "q")) is None
    without_suspending(repeats.remember("o", [(b"digest", b"verdict")]))
    assert without_suspending(repeats.find("o", [b"digest"])) == [b"verdict"]


async def test_a_blocked_page_is_known_with_its_reason_for_24_hours(clock: Clock) -> None:
    pages = BlockedPages(10)
    pages.remember("o", "p", HIT)
    clock.now += 24 * 3_600 - 1
    assert await pages.find("o", "p") == Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:block:10.0.0.0/8"))
    assert await pages.find("other", "p") is None
    assert await pages.find("o", "other") is None
    clock.now += 1
    assert await pages.find("o", "p") is None


async def test_a_page_without_id_is_never_known() -> None:
    """Builds of 2022 send none (wire.md 1)."""
    pages = BlockedPages(10)
    pages.remember("o", "", HIT)
    assert await pages.find("o", "") is None
    assert len(pages) == 0


@pytest.mark.parametrize(("org", "page"), [("\ud800", "x" * 100_000), ("x" * 100_000, "\ud800"), ("\ud800", "\udfff")])
async def test_hostile_ids_are_remembered_at_the_cost_of_any_other(org: str, page: str) -> None:
    pages = BlockedPages(10)
    pages.remember(org, page, HIT)
    assert await pages.find(org, page) is not None
    (key,) = pages._hits._entries
    assert len(str(key)) < 150


async def test_full_the_page_that_was_blocked_longest_ago_goes_first() -> None:
    pages = BlockedPages(2)
    for page in "abc":
        pages.remember("o", page, HIT)
    assert [await pages.find("o", page) is not None for page in "abc"] == [False, True, True]
    assert pages.evicted == 1


async def test_the_first_copys_verdict_speaks_for_10_minutes(clock: Clock) -> None:
    repeats = Repeats(10)
    await repeats.remember("o", [(b"\x00a", b"passed"), (b"\x00b", b"limited")])
    clock.now += 599
    assert await repeats.find("o", [b"\x00b", b"\x00c", b"\x00a"]) == [b"limited", None, b"passed"]
    clock.now += 1
    assert await repeats.find("o", [b"\x00a", b"\x00b"]) == [None, None]


async def test_no_calls_ask_nothing() -> None:
    repeats = Repeats(10)
    await repeats.remember("o", [])
    assert await repeats.find("o", []) == []
    assert len(repeats.cache) == 0


@pytest.mark.parametrize("value", ["1", "true", "YES", "on", " 1 "])
def test_a_disabled_cache_refuses_the_start(value: str) -> None:
    with pytest.raises(HostError, match="AIOCACHE_DISABLE"):
        refuse_disabled({"AIOCACHE_DISABLE": value})


@pytest.mark.parametrize("environ", [{}, {"AIOCACHE_DISABLE": ""}, {"AIOCACHE_DISABLE": "0"}])
def test_a_cache_that_is_not_disabled_starts(environ: dict[str, str]) -> None:
    refuse_disabled(environ)
