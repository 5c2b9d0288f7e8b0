"""A connection comes up step by step: its time limits, the addresses of a name, users, TLS, and servers of other kinds."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fsproxy.cli.doctor.store import store
from fsproxy.cli.host_checks import host_errors
from fsproxy.clock import now
from fsproxy.config.loader import load_text
from fsproxy.config.problems import HostError
from fsproxy.config.schema import RedisConfig, RedisTls
from fsproxy.core.limits.operations import Claim, Claimed, LedgerDownError, NameKind
from fsproxy.state.redis.connections.breaker import Breaker, StoreState
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.servers import server as server_module
from fsproxy.state.redis.servers.configured import refuse_misfit, server_of
from fsproxy.state.redis.servers.refusals import (
    A_NODE,
    A_SENTINEL,
    LOST_AT_ONCE,
    NO_FIRST_ANSWER,
    NO_HANDSHAKE,
    REMEDIES,
)
from support.cluster import running_cluster
from support.ports import free_ports
from support.tools import tool
from support.valkey import DelayingProxy, ValkeyServer, running_valkey

LIMIT = 5.0
PATIENCE = 120.0
PASSWORD = "a@b/c#d:e%41?"


@pytest.fixture(scope="module")
def shared() -> Iterator[ValkeyServer]:
    with running_valkey() as server:
        yield server


@pytest.fixture
def valkey(shared: ValkeyServer) -> ValkeyServer:
    assert shared.command("FLUSHALL").startswith(b"+OK")
    assert shared.command("SCRIPT", "FLUSH").startswith(b"+OK")
    return shared


@asynccontextmanager
async def running_ledger(config: RedisConfig, limit: float = LIMIT) -> AsyncIterator[RedisLedger]:
    ledger = RedisLedger(server_of(config), "connecting:", limit, Breaker("redis"))
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.close()


_names = itertools.count()


async def works(ledger: RedisLedger) -> bool:
    (answer,) = await ledger.ask((Claim("o", NameKind.EVENT_NAME, (f"n{next(_names)}",), 999, 60.0),), now())
    return isinstance(answer, Claimed)


async def until_up(ledger: RedisLedger) -> None:
    async with asyncio.timeout(PATIENCE):
        while ledger.links.breakers()[0].state is not StoreState.UP:
            await asyncio.sleep(0.01)


async def test_a_request_that_comes_just_as_the_connection_is_lost_goes_over_the_next_one(valkey: ValkeyServer) -> None:
    async with running_ledger(RedisConfig(url=valkey.url)) as ledger:
        assert await works(ledger)
        asked: asyncio.Queue[asyncio.Future[list[Any]]] = asyncio.Queue()
        reading = next(each for each in asyncio.all_tasks() if "RedisLink._read" in repr(each))
        reading.add_done_callback(lambda _: asked.put_nowait(ledger.send("o", ["epoch"])))
        assert valkey.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").startswith(b":")
        assert await (await asked.get())
        assert ledger.links.breakers()[0].unavailable == 0


# -- time limits


async def test_each_round_trip_has_its_own_limit_and_not_all_of_them_together(valkey: ValkeyServer) -> None:
    async with DelayingProxy(valkey.port) as far:
        far.delay = LIMIT / 10
        # Hello, the script's name, its text, and its name once more: four round trips of a fifth of the limit, and
        # the question. Together they take as long as the limit.
        async with running_ledger(RedisConfig(url=far.url)) as ledger:
            assert await works(ledger)
            assert ledger.links.breakers()[0].state is StoreState.UP
            assert ledger.links.breakers()[0].outages() == []


async def test_who_asks_while_a_connection_comes_up_slowly_waits_for_one_limit_alone(valkey: ValkeyServer) -> None:
    async with DelayingProxy(valkey.port) as slow, running_ledger(RedisConfig(url=slow.url), 3.0) as ledger:
        assert await works(ledger)
        slow.delay = 0.8  # twice for each round trip, and connecting takes two or more of them
        valkey.command("CLIENT", "KILL", "TYPE", "normal")
        async with asyncio.timeout(PATIENCE):
            while not ledger.links.breakers()[0].failures:
                await asyncio.sleep(0.01)
        with pytest.raises(LedgerDownError):
            await works(ledger)
        assert ledger.links.breakers()[0].is_open
        slow.delay = 0.0
        await until_up(ledger)
        assert await works(ledger)


async def test_a_server_that_hangs_up_again_and_again_is_down_and_not_asked_in_a_loop(valkey: ValkeyServer) -> None:
    async with DelayingProxy(valkey.port) as front, running_ledger(RedisConfig(url=front.url)) as ledger:
        assert await works(ledger)
        (breaker,) = ledger.links.breakers()
        async with asyncio.timeout(PATIENCE):
            while not breaker.is_open:
                with contextlib.suppress(LedgerDownError):
                    # An answer says that the connection is up. One that is lost on its way up is another matter.
                    await works(ledger)
                    front.hang_up()
                await asyncio.sleep(0.01)
        assert {each.reason for each in breaker.outages()} == {LOST_AT_ONCE}
        await until_up(ledger)
        assert await works(ledger)


# -- names


class Names:
    """What a name stands for, which a test changes. All else is looked up as ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._usual = loop.getaddrinfo
        self.ports: list[int] = []
        self.asked = 0
        monkeypatch.setattr(loop, "getaddrinfo", self._look_up)

    async def _look_up(self, host: str, port: int, **options: int) -> list[tuple[object, ...]]:
        if host != "store.test":
            return await self._usual(host, port, **options)  # type: ignore[arg-type,return-value]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in self.ports]


async def test_a_name_is_looked_up_for_each_connection_and_all_of_its_addresses_are_tried(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch)
    with running_valkey() as other:
        names.ports = [free_ports(1)[0], valkey.port]
        async with running_ledger(RedisConfig(url="redis://store.test")) as ledger:
            assert await works(ledger)
            names.ports = [other.port]
            valkey.command("CLIENT", "KILL", "TYPE", "normal")
            async with asyncio.timeout(PATIENCE):
                while not other.ask("KEYS", "*"):
                    await asyncio.sleep(0.01)
            assert await works(ledger)


async def test_a_name_that_is_pointed_elsewhere_is_followed_while_the_old_server_lives(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "LOOK_UP_SECONDS", 0.01)
    names = Names(monkeypatch)
    names.ports = [valkey.port]
    with running_valkey() as other:
        async with running_ledger(RedisConfig(url="redis://store.test")) as ledger:
            assert await works(ledger)
            names.ports = [other.port]
            async with asyncio.timeout(PATIENCE):
                while not other.ask("KEYS", "*"):
                    await asyncio.sleep(0.01)
            assert await works(ledger)
            assert ledger.links.breakers()[0].outages() == []


async def test_of_a_name_for_replicas_too_the_primary_is_found(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch)
    with running_valkey() as replica:
        replica.command("REPLICAOF", "127.0.0.1", str(valkey.port))
        names.ports = [replica.port, valkey.port]
        async with running_ledger(RedisConfig(url="redis://store.test")) as ledger:
            await until_up(ledger)
            assert await works(ledger)
            assert [each.reason for each in ledger.links.breakers()[0].outages()] == ["READONLY"]


# -- users and TLS


async def test_a_password_with_any_characters_and_a_database_are_keys_of_their_own() -> None:
    with running_valkey(PASSWORD) as server:
        server.ask("ACL", "SETUSER", "proxy:1", "on", f">{PASSWORD}", "~*", "&*", "+@all")
        url = f"redis://127.0.0.1:{server.port}"
        async with running_ledger(RedisConfig(url=url, username="proxy:1", password=PASSWORD, database=3)) as ledger:
            assert await works(ledger)
        assert server.ask("INFO", "keyspace").keys() == {"db3"}
        async with running_ledger(RedisConfig(url=url, password=f"{PASSWORD}x")) as ledger:
            assert [each.reason for each in ledger.links.breakers()[0].outages()] == ["WRONGPASS"]
        async with running_ledger(RedisConfig(url=url)) as ledger:
            assert [each.reason for each in ledger.links.breakers()[0].outages()] == ["NOAUTH"]
            assert PASSWORD not in repr(ledger.links.breakers()[0].outages())


async def test_a_password_for_a_server_that_has_none_is_wrong(valkey: ValkeyServer) -> None:
    async with running_ledger(RedisConfig(url=valkey.url, password=PASSWORD)) as ledger:
        assert [each.reason for each in ledger.links.breakers()[0].outages()] == ["WRONGPASS"]


def certified(folder: Path) -> ssl.SSLContext:
    """A server's context; its certificate and key are in the folder."""
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=store"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run([tool("openssl"), *make.split(), *names], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cert)
    context.load_cert_chain(cert, key)
    return context


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """The port of a server that says this to everybody once it has been sent something, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_tls_with_an_authority_and_a_client_certificate(valkey: ValkeyServer, tmp_path: Path) -> None:
    context = certified(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    async with DelayingProxy(valkey.port, context) as front:
        url = front.url.replace("redis", "rediss")
        trusted = RedisConfig(url=url, tls=RedisTls(ca=cert, cert=cert, key=key))
        async with running_ledger(trusted) as ledger:
            assert await works(ledger)
        async with running_ledger(RedisConfig(url=url, tls=RedisTls(cert=cert, key=key))) as ledger:
            (outage,) = ledger.links.breakers()[0].outages()
            assert "certificate is not trusted" in outage.reason
        async with running_ledger(RedisConfig(url=url, tls=RedisTls(ca=cert))) as ledger:
            assert ledger.links.breakers()[0].is_open, "without a certificate of its own"
        in_url = f"{url}?ssl_ca_certs={cert}&ssl_certfile={cert}&ssl_keyfile={key}"
        async with running_ledger(RedisConfig(url=in_url)) as ledger:
            assert await works(ledger), "in redis-py's way"
    with pytest.raises(HostError, match=r"state\.redis\.tls\.ca: cannot be read"):
        server_of(RedisConfig(url=url, tls=RedisTls(ca=f"{cert}.missing")))


async def test_tls_at_one_end_alone_is_said_with_what_to_write(valkey: ValkeyServer, tmp_path: Path) -> None:
    with_tls, limit = valkey.url.replace("redis", "rediss"), 0.5
    async with DelayingProxy(valkey.port, certified(tmp_path)) as front:
        for url, reason, remedy in (
            (with_tls, NO_HANDSHAKE, "write redis:// in state.redis.url"),
            (front.url, NO_FIRST_ANSWER, "write rediss:// in state.redis.url"),
        ):
            async with running_ledger(RedisConfig(url=url), limit) as ledger:
                (outage,) = ledger.links.breakers()[0].outages()
                assert (outage.reason, remedy in REMEDIES[reason]) == (reason, True)
            found = [each async for each in store(RedisConfig(url=url, timeout=limit))]
            assert [(each.text, remedy in each.advice) for each in found] == [(reason, True)]
    async with AsyncExitStack() as stack:
        # A server that answers a handshake in plain text, and one that hangs up.
        for answer in (b"-ERR\r\n", b""):
            port = await stack.enter_async_context(answering(answer))
            async with running_ledger(RedisConfig(url=f"rediss://127.0.0.1:{port}"), LIMIT) as ledger:
                assert [each.reason for each in ledger.links.breakers()[0].outages()] == [NO_HANDSHAKE]


async def test_a_server_that_takes_no_more_clients_is_not_taken_for_one_with_tls() -> None:
    async with answering(b"-ERR max number of clients reached\r\n") as port:
        async with running_ledger(RedisConfig(url=f"redis://127.0.0.1:{port}"), LIMIT) as ledger:
            assert [each.reason for each in ledger.links.breakers()[0].outages()] == ["MAXCLIENTS"]
    assert "maxclients" in REMEDIES["MAXCLIENTS"]


# -- rights


@pytest.mark.parametrize("without", ["+eval +evalsha", "+evalsha +script|load"])
async def test_a_script_comes_in_whole_where_loading_is_not_allowed_and_the_other_way_round(
    valkey: ValkeyServer, without: str
) -> None:
    rights = f"reset on nopass ~* -@all +@read +@write +time {without}"
    valkey.ask("ACL", "SETUSER", "limited", *rights.split())
    async with running_ledger(RedisConfig(url=valkey.url, username="limited", password="x")) as ledger:
        assert await works(ledger)
        if "+script|load" not in without:
            valkey.command("SCRIPT", "FLUSH")
            assert await works(ledger)


# -- servers of other kinds


@pytest.fixture(scope="module")
def others() -> Iterator[dict[str, str]]:
    with running_cluster() as cluster, running_sentinel() as sentinel:
        yield {A_NODE: cluster.nodes[0].url, A_SENTINEL: sentinel}


@contextmanager
def running_sentinel() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="fsproxy-sentinel-") as folder:
        server = LoneSentinel(free_ports(1)[0], Path(folder))
        try:
            server.start()
            yield server.url
        finally:
            server.kill()


class LoneSentinel(ValkeyServer):
    """A Sentinel that watches nothing."""

    def _arguments(self) -> list[str]:
        file = self._folder / "sentinel.conf"
        file.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self._folder}\n")
        return [str(file), "--sentinel"]


@pytest.mark.parametrize("kind", [A_NODE, A_SENTINEL])
async def test_a_server_of_another_kind_is_refused_at_the_start_and_is_down_later(
    others: dict[str, str], kind: str
) -> None:
    config = RedisConfig(url=others[kind])
    text = f"upstream: {{url: http://a}}\nstate: {{backend: redis, redis: {{url: '{config.url}'}}}}"
    errors = await host_errors(load_text(text, "f.yaml", {}, Path()), ports=False, store=True)
    (caught,) = (each for each in errors if each.key_path == "state.redis.url")
    assert ("cluster: true" if kind == A_NODE else "sentinel: {master") in caught.allowed
    async with running_ledger(config) as ledger:
        (outage,) = ledger.links.breakers()[0].outages()
        assert (outage.reason, outage.ended) == (kind, None)
        assert ("cluster: true" if kind == A_NODE else "sentinel: {master") in REMEDIES[outage.reason]
        before = ledger.links.breakers()[0].failures
        async with asyncio.timeout(PATIENCE):
            while ledger.links.breakers()[0].failures < before + 2:
                await asyncio.sleep(0.02)
        assert [each.ended for each in ledger.links.breakers()[0].outages()] == [None], "it does not flap"


@pytest.mark.parametrize("up", [True, False])
async def test_a_server_that_is_right_or_down_is_not_refused(valkey: ValkeyServer, *, up: bool) -> None:
    url = valkey.url if up else f"redis://127.0.0.1:{free_ports(1)[0]}"
    await refuse_misfit(RedisConfig(url=url))
