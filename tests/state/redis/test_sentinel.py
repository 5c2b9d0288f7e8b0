"""The primary is found through Sentinels, and followed when another server becomes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from math import inf

import pytest

from fsproxy.cli.doctor.store import store
from fsproxy.clock import now
from fsproxy.config.hosts import Node, node
from fsproxy.config.schema import RedisConfig, SentinelConfig
from fsproxy.core.limits.operations import Claim, Claimed, LedgerDownError, NameKind
from fsproxy.state.redis.caches import CacheConnections
from fsproxy.state.redis.connections.breaker import Breaker, StoreState
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.servers import server as server_module
from fsproxy.state.redis.servers.configured import server_of
from fsproxy.state.redis.servers.reasons import UnusableError
from fsproxy.state.redis.servers.refusals import FAILS_OVER, NO_SENTINEL, NO_SUCH_NAME, NONE_ANSWERS, REMEDIES
from fsproxy.state.redis.servers.sentinel import SentinelServer
from fsproxy.state.redis.servers.server import Login, Server
from support.ports import free_ports
from support.sentinel import MASTER, SentinelDeployment, running_sentinels
from support.valkey import ValkeyServer, await_replication

LIMIT = 5.0
PATIENCE = 120.0


@pytest.fixture(scope="module")
def shared() -> Iterator[SentinelDeployment]:
    with running_sentinels() as running:
        yield running


@pytest.fixture
def deployment(shared: SentinelDeployment) -> SentinelDeployment:
    shared.heal()
    return shared


def server_by(nodes: list[str], master: str = MASTER) -> Server:
    return server_of(RedisConfig(sentinel=SentinelConfig(master=master, nodes=tuple(map(node, nodes)))))


@asynccontextmanager
async def running_ledger(server: Server, limit: float = LIMIT) -> AsyncIterator[RedisLedger]:
    ledger = RedisLedger(server, "sentinel:", limit, Breaker("redis"))
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.close()


async def claims(ledger: RedisLedger, org: str) -> None:
    """Names until one is counted: meanwhile the store may be down."""
    async with asyncio.timeout(PATIENCE):
        for number in range(1_000_000):
            try:
                (answer,) = await ledger.ask((Claim(org, NameKind.EVENT_NAME, (f"n{number}",), 9_999, 60.0),), now())
            except LedgerDownError:
                await asyncio.sleep(0.02)
            else:
                assert isinstance(answer, Claimed)
                return


async def until_at(ledger: RedisLedger, server: ValkeyServer) -> None:
    async with asyncio.timeout(PATIENCE):
        while not ledger.links.breakers()[0].place.endswith(f":{server.port}") or ledger.links.breakers()[0].is_open:
            await asyncio.sleep(0.02)


def has(server: ValkeyServer, org: str) -> bool:
    return bool(server.ask("KEYS", f"sentinel:*{{{org}}}*"))


async def test_a_primary_that_is_killed_is_followed_and_the_store_is_down_meanwhile(
    deployment: SentinelDeployment,
) -> None:
    before, primary, (replica,) = len(deployment.elections()), deployment.primary, deployment.replicas
    server = server_by([f"127.0.0.1:{free_ports(1)[0]}", *deployment.nodes])
    async with running_ledger(server) as ledger:
        assert ledger.links.breakers()[0].place == f"{MASTER} at 127.0.0.1:{primary.port}"
        await claims(ledger, "before")
        assert has(primary, "before")
        primary.kill()
        await asyncio.to_thread(deployment.elected, before)
        await until_at(ledger, replica)
        await claims(ledger, "after")
        assert has(replica, "after")
        (outage,) = ledger.links.breakers()[0].outages()
        assert outage.ended is not None


async def test_an_old_primary_that_lives_on_as_one_is_left_at_once(deployment: SentinelDeployment) -> None:
    """As one that is cut off from all but the proxy: nobody can tell it that it is a replica now."""
    old, (replica,) = deployment.primary, deployment.replicas
    server = server_by(deployment.nodes)
    async with running_ledger(server) as ledger:
        cache = CacheConnections(server, "sentinel:", 5 * LIMIT, ledger.links.breakers()[0])
        assert await cache.run(cache.cache.set("k", b"v", ttl=60))
        await claims(ledger, "before")
        old.ask("ACL", "SETUSER", "default", "-replicaof", "-slaveof")
        await asyncio.to_thread(deployment.fail_over)
        await until_at(ledger, replica)
        await claims(ledger, "later")
        assert await cache.run(cache.cache.set("later", b"v", ttl=60)), "the caches follow the link"
        assert has(replica, "later")
        assert replica.ask("KEYS", "*cache*later")
        assert old.ask("ROLE")[0] == "master"
        assert not old.ask("KEYS", "*later*"), "one primary counts"
        await cache.close()
    old.ask("ACL", "SETUSER", "default", "+@all")


async def test_what_was_counted_is_not_lost_by_a_failover_that_sentinels_are_asked_for(
    deployment: SentinelDeployment,
) -> None:
    """The old primary takes writes for about a second after its replica was promoted."""
    (replica,), counted = deployment.replicas, 0
    async with running_ledger(server_by(deployment.nodes)) as ledger, asyncio.timeout(PATIENCE):
        await claims(ledger, "before")
        await asyncio.to_thread(await_replication, deployment.primary)
        asked = asyncio.create_task(asyncio.to_thread(deployment.fail_over))
        while not (asked.done() and ledger.links.breakers()[0].place.endswith(f":{replica.port}")):
            try:
                await ledger.ask((Claim("o", NameKind.EVENT_NAME, (f"n{counted}",), 100_000, 600.0),), now())
            except LedgerDownError:
                await asyncio.sleep(0.02)
            else:
                counted += 1
        await until_at(ledger, replica)
        assert counted, "it answered before the failover"
        known = (await ledger.org_usage("o"))[1][NameKind.EVENT_NAME]
        assert known >= counted
        assert any(each.reason == FAILS_OVER for each in ledger.links.breakers()[0].outages())


async def test_a_failover_that_does_not_end_leaves_the_old_primary_in_use(deployment: SentinelDeployment) -> None:
    server = server_by(deployment.nodes)
    assert isinstance(server, SentinelServer)
    async with running_ledger(server) as ledger:
        await claims(ledger, "before")
        about = b"master " + MASTER.encode() + b" 127.0.0.1 1"
        for channel, text, rests in (
            (b"+failover-state-select-slave", b"master another 127.0.0.1 1", False),
            (b"+failover-state-select-slave", about, True),
            (b"-failover-abort-no-good-slave", about, False),
        ):
            if server._is_of(channel, text):
                await server._take(channel, LIMIT)
            async with asyncio.timeout(PATIENCE):
                while ledger.links.breakers()[0].is_open is not rests:
                    await asyncio.sleep(0.02)
        await claims(ledger, "after")


async def test_a_sentinel_that_knows_an_older_election_alone_is_not_believed(deployment: SentinelDeployment) -> None:
    primary = deployment.primary
    answers = {
        b"HELLO": b"*2\r\n$4\r\nmode\r\n$8\r\nsentinel\r\n",
        b"GET-MASTER-ADDR-BY-NAME": b"*2\r\n$9\r\n127.0.0.1\r\n$1\r\n1\r\n",
        b"\r\nMASTER\r\n": b"*4\r\n$12\r\nconfig-epoch\r\n$1\r\n0\r\n$5\r\nflags\r\n$6\r\nmaster\r\n",
    }

    async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.writelines(answer for word, answer in answers.items() if word in data)
        writer.close()

    await asyncio.to_thread(deployment.fail_over)
    await asyncio.to_thread(deployment.heal)
    async with await asyncio.start_server(cut_off, "127.0.0.1", 0) as stale:
        port = stale.sockets[0].getsockname()[1]
        alone, all_of_them = server_by([f"127.0.0.1:{port}"]), server_by([f"127.0.0.1:{port}", *deployment.nodes])
        assert await alone.locate(LIMIT) == Node("127.0.0.1", 1)
        found = await all_of_them.locate(LIMIT)
    assert found.port == deployment.primary.port != primary.port


async def test_a_sentinel_whose_name_is_not_found_out_is_not_waited_for_once_others_have_answered(
    deployment: SentinelDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    usual, hanging = loop.getaddrinfo, list[str]()

    async def look_up(host: str, port: int, **options: int) -> list[tuple[object, ...]]:
        if host == "hangs.test":
            hanging.append(host)
            await asyncio.Event().wait()
        return await usual(host, port, **options)  # type: ignore[arg-type,return-value]

    monkeypatch.setattr(loop, "getaddrinfo", look_up)
    monkeypatch.setattr(server_module, "RESOLVE_SECONDS", inf)
    server = server_by(["hangs.test:1", f"127.0.0.1:{free_ports(1)[0]}", *deployment.nodes])
    assert isinstance(server, SentinelServer)
    async with asyncio.timeout(PATIENCE):
        assert (await server.locate(0.5)).port == deployment.primary.port
        survey = await server.survey(0.5)
    assert [why for _, why in survey] == ["it does not answer in time", "connection refused", "", "", ""]
    assert len(hanging) == 1, "each look-up keeps one of a few threads, which all other names need too"


@pytest.mark.parametrize("case", [NO_SUCH_NAME, NO_SENTINEL, NONE_ANSWERS])
async def test_sentinels_that_cannot_say_are_down_with_what_to_do(deployment: SentinelDeployment, case: str) -> None:
    nodes = {
        NO_SUCH_NAME: deployment.nodes,
        NO_SENTINEL: [f"127.0.0.1:{deployment.primary.port}"],
        NONE_ANSWERS: [f"127.0.0.1:{free_ports(1)[0]}"],
    }
    async with running_ledger(server_by(nodes[case], "other" if case == NO_SUCH_NAME else MASTER)) as ledger:
        (outage,) = ledger.links.breakers()[0].outages()
        assert ledger.links.breakers()[0].state is StoreState.DOWN
        assert outage.reason == case
        assert outage.reason in REMEDIES


@pytest.mark.parametrize("answer", [b"+OK\r\n", b"*2\r\n:1\r\n*0\r\n", b"-ERR \xff\r\n", b"HTTP/1.1 400 Bad\r\n\r\n"])
async def test_what_a_sentinel_cannot_have_said_is_no_answer(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(answer * data.count(b"*"))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as nonsense:
        server = server_by([f"127.0.0.1:{nonsense.sockets[0].getsockname()[1]}"])
        server.start(LIMIT)
        with pytest.raises(UnusableError):
            await server.locate(LIMIT)
        await server.close()


async def test_the_doctor_looks_at_every_sentinel_and_at_the_replicas(deployment: SentinelDeployment) -> None:
    def config(*nodes: str) -> RedisConfig:
        return RedisConfig(sentinel=SentinelConfig(master=MASTER, nodes=tuple(map(node, nodes))))

    async def states(*nodes: str) -> dict[str, str]:
        return {each.check: each.state.value async for each in store(config(*nodes))}

    found = await states(*deployment.nodes)
    assert found["redis.sentinels"] == found["redis.kind"] == found["redis.rights"] == "ok"
    assert found["redis.replicas"] == "warning", "it would go on counting when it is cut off"
    deployment.primary.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    found = await states(f"127.0.0.1:{free_ports(1)[0]}", *deployment.nodes)
    deployment.primary.ask("CONFIG", "SET", "min-replicas-to-write", "0")
    assert (found["redis.sentinels"], found["redis.replicas"]) == ("warning", "ok")
    found = await states(f"127.0.0.1:{free_ports(1)[0]}")
    assert (found["redis.sentinels"], found["redis.connect"]) == ("fault", "fault")


class _Busy(SentinelServer):
    """A server of which a move is heard whenever the link connects."""

    located = 0

    async def locate(self, limit: float) -> Node:
        self.located += 1
        found = await super().locate(limit)
        self.moved.set()
        return found

    def start(self, limit: float) -> None:
        """Nobody listens to the Sentinels: they would be asked for that, too."""


async def test_a_move_that_is_heard_of_while_connecting_there_does_not_end_the_connection(
    deployment: SentinelDeployment,
) -> None:
    config = SentinelConfig(master=MASTER, nodes=tuple(map(node, deployment.nodes)))
    server = _Busy(config, None, Login(), None)
    async with running_ledger(server) as ledger:
        for number in range(20):
            await ledger.ask((Claim("busy", NameKind.EVENT_NAME, (f"n{number}",), 99, 60.0),), now())
        assert server.located == 1
