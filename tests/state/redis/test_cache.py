"""What several processes remember together: aiocache on a real Valkey, behind a memory of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from fsproxy.core.model import FilterName, Hit, Rule
from fsproxy.core.reasons import ReasonCode
from fsproxy.state.cache import BlockedPages, Repeats
from fsproxy.state.redis.breaker import Breaker, StoreState
from fsproxy.state.redis.cache import CacheConnections, SharedCache
from fsproxy.state.redis.write_limits import WriteRate
from support.valkey import DelayingProxy, ValkeyServer, running_valkey

HIT = Hit(FilterName.DOMAIN, ReasonCode.DOMAIN_FILTER, Rule("domain:block:x"))


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as server:
        yield server


class Rate(WriteRate):
    """On a clock that the test moves."""

    now = 1_000.0

    def clock(self) -> float:
        return self.now


@dataclass
class Clock:
    """A memory's, that the test moves."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Process:
    """What one process has of it."""

    breaker: Breaker
    remote: CacheConnections
    cache: SharedCache
    writes: Rate
    clock: Clock

    @property
    def pages(self) -> BlockedPages:
        return BlockedPages(self.cache)

    @property
    def repeats(self) -> Repeats:
        return Repeats(self.cache)


@asynccontextmanager
async def process(
    url: str,
    prefix: str,
    *,
    again: float = 0.0,
    limit: float = 20.0,
    rate: tuple[int, int] = (1_000, 1_000),
    there: float = 600.0,
) -> AsyncIterator[Process]:
    breaker = Breaker("redis")
    remote = CacheConnections(url, prefix, limit, breaker)
    writes = Rate("tested", *rate)
    cache = SharedCache(remote, 1_000, again, writes, own_seconds=86_400.0, shared_seconds=there)
    clock = Clock()
    cache._own.clock = clock  # type: ignore[method-assign]
    try:
        yield Process(breaker, remote, cache, writes, clock)
    finally:
        await cache.close()
        await remote.close()


async def test_a_page_that_one_process_blocked_is_blocked_by_all(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c1:") as one, process(valkey.url, "c1:") as other:
        await one.pages.remember("o", "p", HIT)
        assert await other.pages.find("o", "p") == HIT
        assert await other.pages.find("o", "another") is None
        assert await one.pages.find("o", "p") == HIT


async def test_a_repeat_that_reaches_another_process_is_known(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c2:") as other:
        async with process(valkey.url, "c2:") as one:
            await one.repeats.remember("o", [(b"d1", b"v1"), (b"d2", b"\x00\xff"), (b"d3", b"v3")])
        assert await other.repeats.find([b"d2", b"x", b"d1"]) == [b"\x00\xff", None, b"v1"]
        assert await other.repeats.find([b"d3"]) == [b"v3"]


async def test_every_key_expires_under_the_prefix(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c3:") as one:
        await one.pages.remember("o", "p", HIT)
        await one.repeats.remember("o", [(b"d1", b"v1"), (b"d2", b"v2")])
        await one.cache.close()
        keys = [word for word in valkey.command("KEYS", "c3:*").decode().split() if word.startswith("c3:")]
        assert len(keys) == 3
        assert all(key.startswith("c3:1:cache:") for key in keys)
        assert {-(-int(valkey.command("PTTL", key)[1:]) // 600_000) for key in keys} == {1}


async def test_what_is_known_here_is_not_asked_for(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c4:", again=60.0) as one:
        for _ in range(50):
            assert await one.pages.find("o", "never blocked") is None
        assert one.breaker.round_trips == 1
        await one.pages.remember("o", "never blocked", HIT)
        assert await one.pages.find("o", "never blocked") == HIT
        assert one.breaker.round_trips == 2


async def test_a_new_repeat_is_asked_for_every_time_as_another_process_may_see_it_first(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c5:") as one, process(valkey.url, "c5:") as other:
        assert await one.repeats.find([b"d"]) == [None]
        await other.repeats.remember("o", [(b"d", b"v")])
        await other.cache.close()
        assert await one.repeats.find([b"d"]) == [b"v"]


async def test_hundreds_at_once_wait_for_a_connection_and_none_fails(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c6:") as one, process(valkey.url, "c6:") as other:
        await one.pages.remember("o", "p", HIT)
        assert await asyncio.gather(*(other.cache.get(f"k{n}") for n in range(400))) == [None] * 400
        assert other.breaker.failures == 0


async def test_a_store_that_is_gone_costs_one_attempt_and_this_process_goes_on_remembering() -> None:
    with running_valkey() as server:
        async with process(server.url, "c7:") as one:
            server.kill()
            await one.pages.remember("o", "p", HIT)
            assert await one.pages.find("o", "p") == HIT
            assert await one.pages.find("o", "q") is None
            await one.repeats.remember("o", [(b"d", b"v")])
            assert await one.repeats.find([b"d", b"e"]) == [b"v", None]
            assert (one.breaker.round_trips, one.breaker.failures) == (1, 1)
            assert one.breaker.state is StoreState.STARTING, "whether it is down is the ledger's to find out"


async def test_a_slow_store_is_given_up(valkey: ValkeyServer) -> None:
    async with DelayingProxy(valkey.port) as slow, process(slow.url, "c8:", limit=0.4) as one:
        slow.delay = 10.0
        assert await one.pages.find("o", "p") is None
        assert not one.remote.is_usable
        assert one.breaker.failures == 1


async def test_with_the_store_known_to_be_down_nothing_is_tried(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c9:") as one:
        one.breaker.failed("timeout")
        await one.pages.remember("o", "p", HIT)
        assert await one.pages.find("o", "q") is None
        assert one.breaker.round_trips == 0


def lives(valkey: ValkeyServer, prefix: str) -> dict[str, int]:
    """Every key's time to live in seconds."""
    words = valkey.command("KEYS", f"{prefix}*").decode().split()
    return {key: int(valkey.command("TTL", key)[1:]) for key in words if key.startswith(prefix)}


async def test_a_page_lives_longer_in_redis_while_it_is_asked_for_here_or_there(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c10:", again=60.0) as one, process(valkey.url, "c10:", again=60.0) as other:
        await one.pages.remember("o", "p", HIT)
        ((key, _),) = lives(valkey, "c10:").items()

        async def asked(at: Process) -> int:
            valkey.command("EXPIRE", key, "5")
            assert await at.pages.find("o", "p") == HIT
            await at.cache.close()
            return lives(valkey, "c10:")[key]

        assert await asked(one) <= 5, "it was written a moment ago"
        one.clock.now += 201
        assert await asked(one) > 590
        assert await asked(one) <= 5
        assert await asked(other) > 590
        assert await asked(other) <= 5, "it is believed for a minute"
        other.clock.now += 61
        assert await asked(other) > 590


async def test_renewing_brings_no_key_back_that_is_gone(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c11:") as one:
        await one.pages.remember("o", "p", HIT)
        for key in lives(valkey, "c11:"):
            valkey.command("DEL", key)
        one.clock.now += 500
        assert await one.pages.find("o", "p") == HIT
        await one.cache.close()
        assert lives(valkey, "c11:") == {}


async def test_over_the_rate_of_writes_only_this_process_remembers(
    valkey: ValkeyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with process(valkey.url, "c12:", rate=(3, 5)) as one, process(valkey.url, "c12:") as other:
        for number in range(10):
            await one.pages.remember("flood", f"p{number}", HIT)
        await one.repeats.remember("quiet", [(b"%d" % number, b"v") for number in range(4)])
        await one.cache.close()
        assert len(lives(valkey, "c12:")) == 5, "three of one org, and two that were left in all"
        assert one.writes.skipped == 9
        assert await one.pages.find("flood", "p9") == HIT
        assert await other.pages.find("flood", "p9") is None
        assert await one.repeats.find([b"3"]) == [b"v"]
        one.writes.now += 1
        await one.pages.remember("flood", "later", HIT)
        assert await other.pages.find("flood", "later") == HIT
    assert capsys.readouterr().out.count("more is to be remembered than may be written") == 1


async def test_nothing_that_is_only_remembered_is_written_to_a_store_that_is_nearly_full(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c13:") as one:
        one.remote.memory.used, one.remote.memory.most = 91, 100
        await one.pages.remember("o", "p", HIT)
        await one.repeats.remember("o", [(b"d", b"v")])
        await one.cache.close()
        assert lives(valkey, "c13:") == {}
        assert await one.pages.find("o", "p") == HIT
        one.remote.memory.used = 89
        await one.pages.remember("o", "q", HIT)
        assert len(lives(valkey, "c13:")) == 1
