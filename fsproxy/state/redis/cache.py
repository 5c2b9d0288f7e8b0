"""What is only remembered, for several processes: aiocache's Redis cache behind a memory of this process.

A round trip to the cache may take a fifth of ``state.redis.timeout``. A request waits for the ledger as long as the
timeout, so it waits for both little more than that. A round trip that takes longer, or fails, is given up, and the
cache is left alone for a second. Nothing here raises, as what is not remembered costs little (``state.cache``).

Clients choose the keys, and Redis's memory belongs to the limits. So a key there has a short time to live, and no more
than ``WriteRate`` allows is written. The rest, and everything while Redis is nearly full, is remembered by this process
alone (rules.md 5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any

from aiocache import RedisCache
from aiocache.serializers import NullSerializer

from fsproxy.clock import monotonic
from fsproxy.state.memory.cache import BoundedMemoryCache
from fsproxy.state.redis.breaker import Breaker
from fsproxy.state.redis.connection import connection_pool
from fsproxy.state.redis.store_memory import StoreMemory
from fsproxy.state.redis.write_limits import WriteRate

TIMEOUT_SHARE = 5
"""The cache may use this part of the time limit."""
REST_SECONDS = 1.0
MOST_BEHIND = 1_000
"""Commands under way at once that no request waits for. What is more stays unknown to other processes."""
RENEWED_AFTER = 3
"""A value of this process's own is renewed in Redis after this part of its time there."""
CONNECTIONS = 16
_VERSION = 1
_UNKNOWN = b""
"""Kept here for a key that Redis does not know. No value is empty."""


class _Cache(RedisCache):  # type: ignore[misc]  # aiocache ships no types
    """aiocache's, without the SETEX that newer clients warn of."""

    async def _set(
        self,
        key: str,
        value: Any,
        ttl: float | None = None,
        _cas_token: Any = None,
        _conn: Any = None,
    ) -> Any:
        return await self.client.set(key, value, px=int(ttl * 1000) if ttl else None)


class CacheConnections:
    """What all caches of a process share: the connections, and whether they are of any use now."""

    def __init__(self, url: str, prefix: str, timeout: float, breaker: Breaker) -> None:
        limit = timeout / TIMEOUT_SHARE
        self._breaker = breaker
        self._rests_until = float("-inf")
        self.memory = StoreMemory(self._ask_memory)
        # aiocache's own arguments know neither TLS nor users nor sockets, so the pool has the address. aiocache's
        # default pool raises when it is used up; this one waits.
        self.cache = _Cache(
            serializer=NullSerializer(encoding=None),
            namespace=f"{prefix}{_VERSION}:cache",
            timeout=limit,
            pool_max_size=CONNECTIONS,
            connection_pool_class=lambda **_: connection_pool(
                url, limit, socket_timeout=limit, max_connections=CONNECTIONS
            ),
        )

    @property
    def is_usable(self) -> bool:
        """The store is up, and answered the cache in time."""
        return not self._breaker.is_open and monotonic() >= self._rests_until

    @property
    def is_writable(self) -> bool:
        """It is usable, and has room for what is only remembered."""
        return self.is_usable and not self.memory.is_full

    async def run(self, command: Awaitable[Any]) -> Any:
        """Return the command's answer. None: it failed, and the cache is left alone for a while.

        Whether the store is down is the ledger's to find out, with its own time limit.
        """
        self._breaker.round_trips += 1
        answer = None
        try:
            answer = await command
        except Exception:  # noqa: BLE001 - whatever it is: not remembered
            answer = None
        if answer is None:
            self._breaker.failures += 1
            self._rests_until = monotonic() + REST_SECONDS
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self.memory.close()
        await self.cache.client.aclose()

    async def _ask_memory(self) -> Mapping[str, Any] | None:
        if self._breaker.is_open:
            return None
        self._breaker.round_trips += 1
        found = await self.cache.client.info("memory")
        return found if isinstance(found, Mapping) else {}


class SharedCache:
    """See ``RememberingCache``: this process's memory first, then Redis.

    ``believed`` is for how many seconds an answer of Redis holds, a value or that the key is unknown; 0: an unknown key
    is asked for every time. Redis keeps a value for ``shared_seconds``, this process its own values for
    ``own_seconds``. Where the former is less, a value's time in Redis begins again when it is asked for.
    """

    def __init__(
        self,
        connections: CacheConnections,
        bound: int,
        believed: float,
        rate: WriteRate,
        *,
        own_seconds: float,
        shared_seconds: float,
    ) -> None:
        self._connections = connections
        self._own = BoundedMemoryCache(bound)
        self._believed = believed
        self._rate = rate
        self._shared_seconds = int(shared_seconds)
        self._own_seconds = own_seconds
        self._renews = shared_seconds < own_seconds
        self._fresh = own_seconds - shared_seconds / RENEWED_AFTER
        """An own value with less time left than this is due to be renewed in Redis."""
        self._behind: set[asyncio.Task[None]] = set()

    async def get(self, key: str) -> Any:
        """Return the value, or None: also when Redis does not answer."""
        value = await self._own.get(key)
        if value is None and self._connections.is_usable:
            value = (await self._fetch([key]))[0]
            if value and self._renews:
                self._renew(key)
        elif value and self._renews and self._believed < self._own.left(key) < self._fresh:
            self._own.put(key, value, self._own_seconds)
            self._renew(key)
        return value or None

    async def multi_get(self, keys: list[str]) -> list[Any]:
        """Return the values in the order of the keys, None for each that is unknown."""
        values = await self._own.multi_get(keys)
        missing = [key for key, value in zip(keys, values, strict=True) if value is None]
        if missing and self._connections.is_usable:
            found = dict(zip(missing, await self._fetch(missing), strict=True))
            values = [found.get(key) if value is None else value for key, value in zip(keys, values, strict=True)]
        return [value or None for value in values]

    async def keep(self, org: str, pairs: list[tuple[str, Any]], ttl: float, *, at_once: bool) -> None:
        """Keep every value here and in Redis, as far as it may be written."""
        for key, value in pairs:
            self._own.put(key, value, ttl)
        if self._connections.is_writable and (taken := self._rate.take(org, len(pairs))):
            cache = self._connections.cache
            # One pair is one command; several are a transaction.
            if taken == 1:
                stored = cache.set(*pairs[0], ttl=self._shared_seconds)
            else:
                stored = cache.multi_set(pairs[:taken], ttl=self._shared_seconds)
            if at_once:
                await self._connections.run(stored)
            else:
                self._run_behind(stored)

    async def close(self) -> None:
        """Let what is on its way arrive. It takes no longer than the time limit."""
        await asyncio.gather(*self._behind, return_exceptions=True)

    def _renew(self, key: str) -> None:
        """Let the value's time in Redis begin again. This never brings back a key that is gone."""
        if self._connections.is_usable:
            self._run_behind(self._connections.cache.expire(key, self._shared_seconds))

    def _run_behind(self, command: Coroutine[Any, Any, Any]) -> None:
        if len(self._behind) >= MOST_BEHIND:
            command.close()
            return
        task = asyncio.ensure_future(self._connections.run(command))
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def _fetch(self, keys: list[str]) -> list[Any]:
        values = await self._connections.run(self._connections.cache.multi_get(keys))
        if not isinstance(values, list) or len(values) != len(keys):
            return [None] * len(keys)
        if self._believed:
            for key, value in zip(keys, values, strict=True):
                self._own.put(key, _UNKNOWN if value is None else value, self._believed)
        return values
