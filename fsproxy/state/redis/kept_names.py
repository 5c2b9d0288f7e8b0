"""Reads the names that the ledger has kept in Redis, for a plan of names. No request needs this (rules.md 9)."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Any

from redis.asyncio import Redis

from fsproxy.config.schema import RedisConfig
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import Instant
from fsproxy.core.plan_writing import NameRow
from fsproxy.state.redis.configured import server_of
from fsproxy.state.redis.wire import KEY_VERSION, org_base

LEAST_SECONDS = 3.0
"""Time for each answer, if ``state.redis.timeout`` gives less: nobody waits as requests do."""
_AT_ONCE = 1_000
_SPECIAL = re.compile(r"[*?\[\]\\]")
"""Characters that mean something in a pattern of Redis."""


async def kept_names(config: RedisConfig, org: str | None) -> AsyncGenerator[NameRow]:
    """Yield org, kind, name as it is kept, and when it was last seen; of all orgs, unless one is given.

    An org with an odd id has a digest for it. Raises redis-py's errors and OSError.
    """
    pool = server_of(config).pool(max(config.timeout, LEAST_SECONDS), 1, decode_responses=True)
    client = Redis(connection_pool=pool)
    begin = f"{config.prefix}{KEY_VERSION}:{{"
    pattern = _SPECIAL.sub(r"\\\g<0>", begin) + "*}:n:*"
    try:
        if org is not None:
            keys = [f"{org_base(config.prefix, org)}n:{kind.value}" for kind in NameKind]
        else:
            keys = sorted({key async for key in client.scan_iter(pattern, count=_AT_ONCE)})
        for key in keys:
            owner, _, kind = key.removeprefix(begin).rpartition("}:n:")
            found: Any = await client.zrange(key, 0, -1, withscores=True)
            for name, seen in found:
                yield owner, NameKind(kind), name, Instant(seen)
    finally:
        await pool.disconnect()
