"""What several processes remember together on a real Valkey, behind a memory of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from fsproxy.core.model import FilterName, Hit, Rule
from fsproxy.core.reasons import ReasonCode
from fsproxy.state.redis.caches import CacheConnections, NodeCaches
from fsproxy.state.redis.connections.breaker import Breaker, StoreState
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.repeats import SharedRepeats
from fsproxy.state.redis.shared_blocks import SharedBlockedPages
from fsproxy.state.redis.wire import block_to_wire, hit_from
from fsproxy.state.redis.write_limits import WriteRate
from support.valkey import DelayingProxy, ValkeyServer, running_valkey, server_at

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
    ledger: RedisLedger
    remote: CacheConnections
    pages: SharedBlockedPages
    repeats: SharedRepeats
    writes: Rate
    clock: Clock
    before: int
    """Commands that connecting took."""

    async def settled(self) -> None:
        """What was sent behind has been answered."""
        await self.ledger.org_usage("o")
        await self.repeats.close()

    @property
    def asked(self) -> int:
        """Commands since the connection was made."""
        return self.breaker.round_trips - self.before


@asynccontextmanager
async def process(
    url: str, prefix: str, *, limit: float = 20.0, rate: tuple[int, int] = (1_000, 1_000)
) -> AsyncIterator[Process]:
    breaker = Breaker("redis")
    ledger = RedisLedger(server_at(url), prefix, limit, breaker)
    caches = NodeCaches(ledger.links, prefix, limit)
    ((_, remote),) = caches.every()
    writes = Rate("tested", *rate)
    pages, repeats = SharedBlockedPages(ledger, caches, writes, 1_000), SharedRepeats(caches, writes, 1_000)
    clock = Clock()
    for each in (pages._hits, pages._asked, repeats.cache):
        each.clock = clock  # type: ignore[method-assign]
    await ledger.start()
    try:
        yield Process(breaker, ledger, remote, pages, repeats, writes, clock, breaker.round_trips)
    finally:
        await ledger.close()
        await repeats.close()
        await caches.close()


async def test_a_page_that_one_process_blocked_is_blocked_by_all(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c1:") as one, process(valkey.url, "c1:") as other:
        one.pages.remember("o", "p", HIT)
        await one.settled()
        assert await other.pages.find("o", "p") == HIT
        assert await other.pages.find("o", "another") is None
        assert await one.pages.find("o", "p") == HIT


@pytest.mark.parametrize("code", list(ReasonCode))
def test_every_reason_is_remembered_as_it_is(code: ReasonCode) -> None:
    hit = Hit(FilterName.BLOCKED_USER, code, Rule("a rule: with blanks"))
    assert hit_from(block_to_wire("o", "p", hit)[2]) == hit


@pytest.mark.parametrize("kept", ["99 ip r", "5 new r", "x ip r", "5", "", False, None])
def test_an_entry_of_another_version_is_not_known(kept: object) -> None:
    assert hit_from(kept) is None


async def test_a_block_goes_out_with_the_other_commands_of_its_tick(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c14:") as one:
        for number in range(20):
            one.pages.remember("o", f"p{number}", HIT)
        await one.settled()
        assert one.asked == 1, "together with the question that settles"


async def test_hostile_ids_are_shared_at_the_cost_of_any_other(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c15:") as one, process(valkey.url, "c15:") as other:
        one.pages.remember("\ud800", "x" * 100_000, HIT)
        await one.settled()
        assert await other.pages.find("\ud800", "x" * 100_000) == HIT
        assert max(map(len, lives(valkey, "c15:"))) < 64


async def test_a_repeat_that_reaches_another_process_is_known(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c2:") as other:
        async with process(valkey.url, "c2:") as one:
            await one.repeats.remember("o", [(b"d1", b"v1"), (b"d2", b"\x00\xff"), (b"d3", b"v3")])
        assert await other.repeats.find("o", [b"d2", b"x", b"d1"]) == [b"\x00\xff", None, b"v1"]
        assert await other.repeats.find("o", [b"d3"]) == [b"v3"]


async def test_every_key_expires_under_the_prefix(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c3:") as one:
        one.pages.remember("o", "p", HIT)
        await one.repeats.remember("o", [(b"d1", b"v1"), (b"d2", b"v2")])
        await one.settled()
        found = lives(valkey, "c3:")
        assert sorted(key.rpartition(":")[0] for key in found) == [
            "c3:1:cache:repeat",
            "c3:1:cache:repeat",
            "c3:1:{o}:b",
        ]
        assert all(0 < seconds <= 900 for seconds in found.values())


async def test_what_is_known_here_is_not_asked_for(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c4:") as one:
        for _ in range(50):
            assert await one.pages.find("o", "never blocked") is None
        assert one.asked == 1
        one.pages.remember("o", "never blocked", HIT)
        assert await one.pages.find("o", "never blocked") == HIT
        await one.settled()
        assert one.asked == 2
        one.clock.now += 61
        assert await one.pages.find("o", "another") is None
        assert await one.pages.find("o", "never blocked") == HIT
        await one.settled()
        assert one.asked == 4


async def test_bundles_of_one_page_that_come_together_all_wait_for_its_block(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c16:") as one, process(valkey.url, "c16:") as other:
        one.pages.remember("o", "p", HIT)
        await one.settled()
        asked = [other.pages.find("o", "p") for _ in range(3)]
        assert [await each for each in asked] == [HIT] * 3
        assert other.asked == 1


async def test_a_new_repeat_is_asked_for_every_time_as_another_process_may_see_it_first(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c5:") as one, process(valkey.url, "c5:") as other:
        assert await one.repeats.find("o", [b"d"]) == [None]
        await other.repeats.remember("o", [(b"d", b"v")])
        await other.settled()
        assert await one.repeats.find("o", [b"d"]) == [b"v"]


async def test_hundreds_at_once_wait_for_a_connection_and_none_fails(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c6:") as one:
        found = await asyncio.gather(*(one.repeats.find("o", [b"%d" % n]) for n in range(400)))
        assert found == [[None]] * 400
        assert one.breaker.failures == 0


async def test_a_store_that_is_gone_costs_one_attempt_and_this_process_goes_on_remembering() -> None:
    with running_valkey() as server:
        server.kill()
        async with process(server.url, "c7:") as one:
            one.pages.remember("o", "p", HIT)
            assert await one.pages.find("o", "p") == HIT
            assert await one.pages.find("o", "q") is None
            one.breaker.state = StoreState.STARTING
            failures = one.breaker.failures
            await one.repeats.remember("o", [(b"d", b"v")])
            await one.repeats.close()
            assert await one.repeats.find("o", [b"d", b"e"]) == [b"v", None]
            assert one.breaker.failures == failures + 1
            assert one.breaker.state is StoreState.STARTING, "whether it is down is the ledger's to find out"


async def test_a_slow_store_is_given_up(valkey: ValkeyServer) -> None:
    async with DelayingProxy(valkey.port) as slow, process(slow.url, "c8:", limit=0.4) as one:
        slow.delay = 10.0
        assert await one.repeats.find("o", [b"d"]) == [None]
        assert not one.remote.is_usable
        assert await one.pages.find("o", "p") is None
        assert one.breaker.state is StoreState.DOWN


async def test_with_the_store_known_to_be_down_nothing_is_tried(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c9:") as one:
        one.breaker.failed("timeout")
        one.pages.remember("o", "p", HIT)
        assert await one.pages.find("o", "q") is None
        assert await one.repeats.find("o", [b"d"]) == [None]
        assert one.asked == 0
        assert one.writes.skipped == 0


def lives(valkey: ValkeyServer, prefix: str) -> dict[str, int]:
    """Every key's time to live in seconds, but for the connections' probes."""
    words = valkey.command("KEYS", f"{prefix}*").decode().split()
    keys = [key for key in words if key.startswith(prefix) and not key.endswith(":probe")]
    return {key: int(valkey.command("TTL", key)[1:]) for key in keys}


def pages_of(valkey: ValkeyServer, prefix: str) -> dict[str, int]:
    """Those of blocked pages."""
    return {key: seconds for key, seconds in lives(valkey, prefix).items() if ":b:" in key}


async def test_a_page_lives_longer_in_redis_while_it_is_asked_for_here_or_there(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c10:") as one, process(valkey.url, "c10:") as other:
        one.pages.remember("o", "p", HIT)
        await one.settled()
        ((key, _),) = pages_of(valkey, "c10:").items()

        async def asked(at: Process) -> int:
            valkey.command("EXPIRE", key, "5")
            assert await at.pages.find("o", "p") == HIT
            await at.settled()
            return lives(valkey, "c10:")[key]

        assert await asked(one) <= 5, "it was written a moment ago"
        one.clock.now += 61
        assert await asked(one) > 890
        assert await asked(one) <= 5
        assert await asked(other) > 890
        assert await asked(other) <= 5, "it is believed for a minute"
        other.clock.now += 61
        assert await asked(other) > 890


async def test_renewing_brings_no_key_back_that_is_gone(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c11:") as one:
        one.pages.remember("o", "p", HIT)
        await one.settled()
        for key in lives(valkey, "c11:"):
            valkey.command("DEL", key)
        one.clock.now += 500
        assert await one.pages.find("o", "p") == HIT
        await one.settled()
        assert lives(valkey, "c11:") == {}


async def test_over_the_rate_of_writes_only_this_process_remembers(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c12:", rate=(3, 5)) as one, process(valkey.url, "c12:") as other:
        for number in range(10):
            one.pages.remember("flood", f"p{number}", HIT)
        await one.repeats.remember("quiet", [(b"%d" % number, b"v") for number in range(4)])
        await one.settled()
        assert len(lives(valkey, "c12:")) == 5, "three of one org, and two that were left in all"
        assert one.writes.skipped == 9
        assert await one.pages.find("flood", "p9") == HIT
        assert await other.pages.find("flood", "p9") is None
        assert await one.repeats.find("o", [b"3"]) == [b"v"]
        one.writes.now += 1
        one.pages.remember("flood", "later", HIT)
        await one.settled()
        assert await other.pages.find("flood", "later") == HIT


async def test_nothing_that_is_only_remembered_is_written_to_a_store_that_is_nearly_full(valkey: ValkeyServer) -> None:
    async with process(valkey.url, "c13:") as one:
        one.remote.memory.used, one.remote.memory.most = 91, 100
        one.pages.remember("o", "p", HIT)
        await one.repeats.remember("o", [(b"d", b"v")])
        await one.settled()
        assert lives(valkey, "c13:") == {}
        assert await one.pages.find("o", "p") == HIT
        one.remote.memory.used = 89
        one.pages.remember("o", "q", HIT)
        await one.settled()
        assert len(pages_of(valkey, "c13:")) == 1
