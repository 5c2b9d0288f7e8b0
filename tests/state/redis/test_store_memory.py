"""How full the shared store is: asked of a real Valkey, and of servers that do not tell (rules.md 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as LateError

from fsproxy.state.redis.caches import CacheConnections
from fsproxy.state.redis.connections.breaker import Breaker
from fsproxy.state.redis.store_memory import StoreMemory
from support.valkey import ValkeyServer, running_valkey, server_at


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as server:
        yield server


def told(used: object, most: object, policy: object = "noeviction") -> dict[str, object]:
    return {"used_memory": used, "maxmemory": most, "maxmemory_policy": policy}


def asking(*answers: Mapping[str, Any] | Exception | None) -> StoreMemory:
    left = list(answers)

    async def ask() -> Mapping[str, Any] | None:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return StoreMemory(ask)


def samples(memory: StoreMemory) -> dict[str, float]:
    return {sample.name: sample.value for family in memory.collect() for sample in family.samples}


async def test_a_real_server_tells(valkey: ValkeyServer) -> None:
    remote = CacheConnections(server_at(valkey.url), "m1:", 20.0, Breaker("redis"))
    memory = remote.memory
    try:
        await memory.poll()
        assert memory.used is not None
        assert memory.latency is not None
        assert memory.latency > 0
        assert memory.state() == {"used": memory.used, "max": None, "policy": "noeviction"}, "it has no limit"
        assert (memory.is_nearly_full, memory.evicts, memory.refusal) == (False, False, "")
        assert samples(memory) == {"fsproxy_store_used_bytes": memory.used}
        valkey.command("CONFIG", "SET", "maxmemory", str(memory.used * 10 // 11), "maxmemory-policy", "allkeys-lru")
        await memory.poll()
        assert (memory.is_nearly_full, memory.evicts) == (True, True)
        assert memory.is_full
        assert samples(memory)["fsproxy_store_max_bytes"] == memory.most
        valkey.command("CONFIG", "SET", "maxmemory", "0")
        valkey.command("SET", "a", "b")
        valkey.command("CONFIG", "SET", "maxmemory", "1")
        valkey.command("SET", "c", "d")
        await memory.poll()
        assert memory.evicted >= 1
        assert memory.evicted == memory.evicted_keys
    finally:
        valkey.command("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")
        await remote.close()


async def test_a_server_that_may_not_be_asked_costs_nothing(valkey: ValkeyServer) -> None:
    valkey.command("ACL", "SETUSER", "limited", "on", ">word", "~*", "+@all", "-info", "-config")
    url = valkey.url.replace("redis://", "redis://limited:word@")
    breaker = Breaker("redis")
    remote = CacheConnections(server_at(url), "m2:", 20.0, breaker)
    try:
        await remote.memory.poll()
        await remote.memory.poll()
        assert remote.memory.state() == {"used": None, "max": None, "policy": None}
        assert (remote.memory.is_nearly_full, remote.memory.is_full, remote.is_usable) == (False, False, True)
        assert remote.memory.refusal == "NOPERM"
        assert breaker.failures == 0
    finally:
        await remote.close()


async def test_it_is_nearly_full_from_80_percent_on() -> None:
    memory = asking(told(799, 1000), told(800, 1000), told(990, 1000), told(799, 1000))
    found = []
    for _ in range(4):
        await memory.poll()
        found.append(memory.is_nearly_full)
    assert found == [False, True, True, False]


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random"])
async def test_every_policy_that_evicts_is_warned_of(policy: str) -> None:
    memory = asking(told(1, 1000, policy), told(1, 0, policy))
    await memory.poll()
    assert memory.evicts
    await memory.poll()
    assert (memory.evicts, memory.most) == (True, None)


async def test_odd_answers_mean_that_nothing_is_known() -> None:
    memory = asking({}, told("many", -1, 7), told(True, 2.5, None), ValueError(), told(5, 10), None)
    for _ in range(4):
        await memory.poll()
        assert memory.state() == {"used": None, "max": None, "policy": None}
    await memory.poll()
    await memory.poll()
    assert memory.state() == {"used": 5, "max": 10, "policy": "noeviction"}, "a store that is down changes nothing"


async def test_a_full_store_that_is_late_once_is_no_less_full() -> None:
    memory = asking(LateError("x"), told(990, 1000), LateError("x"), ResponseError("NOPERM x"))
    await memory.poll()
    assert (memory.refusal, memory.used) == ("it does not answer in time", None)
    for _ in range(2):
        await memory.poll()
        assert (memory.refusal, memory.is_full) == ("", True)
    await memory.poll()
    assert (memory.refusal, memory.used) == ("NOPERM", None)


async def test_it_asks_by_itself_until_it_is_closed() -> None:
    asked: asyncio.Queue[None] = asyncio.Queue()

    async def ask() -> Mapping[str, Any]:
        asked.put_nowait(None)
        return told(5, 10)

    memory = StoreMemory(ask, every=0.001)
    memory.start()
    async with asyncio.timeout(60):
        for _ in range(3):
            await asked.get()
    await memory.close()
    while not asked.empty():
        asked.get_nowait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert asked.empty()


async def test_only_keys_that_are_evicted_while_it_is_asked_are_counted_also_over_a_restart() -> None:
    counts = (500, 500, 520, None, 3, 3)
    memory = asking(*({**told(1, 2), "evicted_keys": count} for count in counts))
    seen = []
    for _ in counts:
        await memory.poll()
        seen.append((memory.evicted, memory.evicted_keys))
    assert seen == [(0, 500), (0, 500), (20, 520), (20, 520), (23, 3), (23, 3)]
