"""The rights that docs/reference/state.md lists are enough for everything, and none of them is too many."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fsproxy.cli.doctor.store import COMMANDS, store
from fsproxy.clock import now
from fsproxy.config.hosts import node
from fsproxy.config.loader import load_text
from fsproxy.config.schema import RedisConfig, SentinelConfig
from fsproxy.core.limits.operations import Claim, Claimed, Mark, NameKind, Recall, Recalled
from fsproxy.state.redis.caches import CacheConnections
from fsproxy.state.redis.connections.breaker import Breaker
from fsproxy.state.redis.kept_names import kept_names
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.servers.configured import server_of
from fsproxy.state.redis.servers.refusals import NOT_LET_IN, REMEDIES
from fsproxy.state.redis.servers.sentinel import SentinelServer
from support.documents import text_of
from support.ledgers import fresh_org
from support.sentinel import MASTER, running_sentinels
from support.valkey import ValkeyServer, running_valkey

LIMIT = 5.0
PAGE = text_of("reference/state.md")
(LINE,) = re.findall(r"^ACL SETUSER .*$", PAGE, re.MULTILINE)
OF_CACHES = {"MGET", "MSET", "EXPIRE", "MULTI", "EXEC"}
OF_OTHERS = {"EVAL", "EVALSHA", "SCRIPT|LOAD", "INFO", "PING", "SCAN"}


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey(maxmemory="100mb") as server:
        yield server


@asynccontextmanager
async def everything(
    server: ValkeyServer, line: str, **keys: int
) -> AsyncIterator[tuple[RedisLedger, CacheConnections]]:
    server.ask(*line.replace("PASSWORD", "word").split())
    config = RedisConfig(url=f"redis://127.0.0.1:{server.port}", username="fsproxy", password="word", **keys)
    store_of = server_of(config)
    ledger = RedisLedger(store_of, "fsproxy:", LIMIT, Breaker("redis"))
    caches = CacheConnections(store_of, "fsproxy:", 5 * LIMIT, ledger.links.breakers()[0])
    await ledger.start()
    try:
        yield ledger, caches
    finally:
        await ledger.close()
        await caches.close()


async def uses(ledger: RedisLedger, caches: CacheConnections) -> None:
    """The script, and each command that goes out beside it."""
    org = fresh_org()
    names = Claim(org, NameKind.EVENT_NAME, ("a", "b"), 9, 3_600.0)
    assert await ledger.ask((names, Recall(org, "s", "u")), now()) == (Claimed(frozenset(), 2), Recalled(()))
    await ledger.ask((Mark(org, "s", "u", 7),), now())
    assert await caches.run(caches.cache.set("one", b"v", ttl=60))
    assert await caches.run(caches.cache.multi_set([("two", b"v"), ("three", b"v")], ttl=60))
    assert await caches.run(caches.cache.multi_get(["one", "two"])) == [b"v", b"v"]
    assert ledger.links.breakers()[0].refusals == caches._breaker.refusals == 0


async def test_the_least_rights_are_enough_for_all_that_is_done(valkey: ValkeyServer) -> None:
    async with everything(valkey, LINE) as (ledger, caches):
        await uses(ledger, caches)
        await caches.memory.poll()
        assert (caches.memory.refusal, caches.memory.most) == ("", 100 << 20)
    config = RedisConfig(url=f"redis://127.0.0.1:{valkey.port}", username="fsproxy", password="word")
    assert sorted([name async for _, _, name, _ in kept_names(config, None)]) == ["a", "b"]
    # The doctor runs every command of the script with these rights.
    assert {each.state.value async for each in store(config)} == {"ok"}


async def test_without_info_all_goes_on_and_what_is_not_known_is_said(valkey: ValkeyServer) -> None:
    async with everything(valkey, f"{LINE} -info -script|load") as (ledger, caches):
        valkey.ask("SCRIPT", "FLUSH")
        await uses(ledger, caches)
        await caches.memory.poll()
        assert (caches.memory.refusal, caches.memory.used) == ("NOPERM", None)


async def test_another_database_needs_select(valkey: ValkeyServer) -> None:
    async with everything(valkey, LINE, database=2) as (ledger, _):
        assert [each.reason for each in ledger.links.breakers()[0].outages()] == ["NOPERM"]
        assert "docs/reference/state.md" in REMEDIES["NOPERM"]
    async with everything(valkey, f"{LINE} +select", database=2) as (ledger, caches):
        await uses(ledger, caches)


def test_no_right_is_listed_that_nothing_needs() -> None:
    listed = re.findall(r" \+(\S+)", LINE)
    assert len(listed) == len(set(listed))
    assert {each.upper() for each in listed} == {*COMMANDS, *OF_CACHES, *OF_OTHERS}


def test_the_examples_of_the_page_are_configurations() -> None:
    examples = re.findall(r"```yaml\n(state:.*?)```", PAGE, re.DOTALL)
    found = [
        load_text(f"upstream: {{url: http://a}}\n{each}", "f.yaml", {"REDIS_PASSWORD": "p"}, Path())
        for each in examples
    ]
    assert [each.state.redis.sentinel is not None for each in found][:2] == [False, True]
    assert {each.state.redis.password for each in found} == {"p"}


async def test_a_user_of_the_sentinels_needs_what_the_page_says() -> None:
    (rights,) = re.findall(r"`(resetchannels &\+switch-master .*?)`", " ".join(PAGE.split()))
    with running_sentinels() as deployment:
        for each in deployment.sentinels:
            each.ask("ACL", "SETUSER", "watcher", "reset", "on", ">seen", *rights.split())
            each.ask("ACL", "SETUSER", "deaf", "reset", "on", ">seen", *rights.split(), "resetchannels")
            each.ask("ACL", "SETUSER", "default", "off")
        nodes = tuple(map(node, deployment.nodes))
        config = RedisConfig(sentinel=SentinelConfig(master=MASTER, nodes=nodes, username="watcher", password="seen"))
        server = server_of(config)
        server.start(LIMIT)
        try:
            found = await server.locate(LIMIT)
            assert found.port == deployment.servers[0].port
        finally:
            await server.close()
        assert not server.unwatched
        deaf = SentinelConfig(master=MASTER, nodes=nodes, username="deaf", password="seen")
        server = server_of(RedisConfig(sentinel=deaf))
        server.start(LIMIT)
        try:
            async with asyncio.timeout(LIMIT):
                while not server.unwatched:
                    await asyncio.sleep(0.02)
        finally:
            await server.close()
        assert server.unwatched == "NOPERM", "the condition names the cause"
        wrong = server_of(RedisConfig(sentinel=SentinelConfig(master=MASTER, nodes=nodes)))
        ledger = RedisLedger(wrong, "x:", LIMIT, Breaker("redis"))
        await ledger.start()
        await ledger.close()
        assert [each.reason for each in ledger.links.breakers()[0].outages()] == [NOT_LET_IN]
        assert isinstance(wrong, SentinelServer)
        assert await wrong.survey(LIMIT) == [("", NOT_LET_IN)] * len(nodes), "doctor says which password is wrong"
