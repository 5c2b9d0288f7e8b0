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
from fsproxy.state.redis.servers.configured import store_of
from fsproxy.state.redis.servers.server import Server
from fsproxy.state.redis.servers.slots import slot_of
from fsproxy.state.redis.wire import KEY_VERSION, org_base

LEAST_SECONDS = 3.0
"""Time for each answer, if ``state.redis.timeout`` gives less: no request waits for it."""
_AT_ONCE = 1_000
_SPECIAL = re.compile(r"[*?\[\]\\]")
"""Characters that mean something in a pattern of Redis."""


async def kept_names(config: RedisConfig, org: str | None) -> AsyncGenerator[NameRow]:
    """Yield org, kind, name as it is kept, and when it was last seen; of all orgs, unless one is given.

    An org with an odd id has a digest for it. Raises redis-py's errors and OSError.
    """
    store, limit = store_of(config), max(config.timeout, LEAST_SECONDS)
    keys = [] if org is None else [f"{org_base(config.prefix, org)}n:{kind.value}" for kind in NameKind]
    if isinstance(store, Server):
        servers = [store]
    else:
        slots = await store.read_map(limit)
        owners = set(slots.owners) if org is None else {slots.owners[slot_of(keys[0])]}
        servers = [store.server(node) for node in sorted(filter(None, owners))]
    for server in servers:
        pool = server.pool(limit, 1, decode_responses=True)
        try:
            async for row in _names_at(Redis(connection_pool=pool), f"{config.prefix}{KEY_VERSION}:{{", keys):
                yield row
        finally:
            await pool.disconnect()


async def _names_at(client: Redis, begin: str, keys: list[str]) -> AsyncGenerator[NameRow]:
    """Yield those of a server: of these keys, or else of all that it has."""
    if not keys:
        pattern = _SPECIAL.sub(r"\\\g<0>", begin) + "*}:n:*"
        keys = sorted({key async for key in client.scan_iter(pattern, count=_AT_ONCE)})
    for key in keys:
        owner, _, kind = key.removeprefix(begin).rpartition("}:n:")
        found: Any = await client.zrange(key, 0, -1, withscores=True)
        for name, seen in found:
            yield owner, NameKind(kind), name, Instant(seen)
