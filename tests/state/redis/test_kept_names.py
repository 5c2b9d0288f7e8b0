"""The names that are kept in Redis are read for a plan of names."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from fsproxy.config.schema import RedisConfig
from fsproxy.core.limits.operations import Claim, NameKind
from fsproxy.core.model import Instant
from fsproxy.core.name_digest import name_digest
from fsproxy.state.redis.kept_names import kept_names
from fsproxy.state.redis.ledger import RedisLedger
from support.valkey import ValkeyServer, server_at

LONG, HALF = "x" * 65, "half \ud83d"
CLAIMS = [
    ("o-1", NameKind.EVENT_NAME, ("Bought", LONG, HALF)),
    ("o-1", NameKind.EVENT_PROPERTY, ("Bought/total_real",)),
    ("auth:1f", NameKind.USER_PROPERTY, ("tier_str",)),
]


async def read(config: RedisConfig, org: str | None) -> set[tuple[str, NameKind, str]]:
    async with aclosing(kept_names(config, org)) as names:
        found = [each async for each in names]
    assert all(seen == 1000.0 for *_, seen in found)
    return {each[:3] for each in found}


@pytest.mark.parametrize("prefix", ["fsproxy:", "[a-z]*?\\{x}:"])
def test_all_names_are_found_and_those_of_one_org(valkey: ValkeyServer, prefix: str) -> None:
    async def run() -> tuple[set[tuple[str, NameKind, str]], ...]:
        ledger = RedisLedger(server_at(valkey.url), f"names {prefix}", 5.0, callers_clock=True)
        await ledger.start()
        for org, kind, names in CLAIMS:
            await ledger.ask((Claim(org, kind, names, 10, 3600.0),), Instant(1000.0))
        await ledger.close()
        config = RedisConfig(url=valkey.url, prefix=f"names {prefix}")
        return await read(config, None), await read(config, "auth:1f"), await read(config, "o-2")

    every, server, none = asyncio.run(run())
    assert every == {
        ("o-1", NameKind.EVENT_NAME, "Bought"),
        ("o-1", NameKind.EVENT_NAME, name_digest(LONG)),
        ("o-1", NameKind.EVENT_NAME, name_digest(HALF)),
        ("o-1", NameKind.EVENT_PROPERTY, "Bought/total_real"),
        ("auth:1f", NameKind.USER_PROPERTY, "tier_str"),
    }
    assert server == {("auth:1f", NameKind.USER_PROPERTY, "tier_str")}
    assert none == set()
