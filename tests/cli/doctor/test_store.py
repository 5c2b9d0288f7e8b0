"""The doctor looks at Redis servers that are wrong, each in one way."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

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
    found = await states(valkey.url)
    assert (found["redis.kind"], found["redis.rights"]) == ("fault", "fault")


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
