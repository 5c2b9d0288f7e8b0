"""What is only remembered, when several processes must remember it: aiocache's Redis cache behind a memory.

A round trip to the cache may take a fifth of ``state.redis.timeout``: a request waits for the ledger as long
as that, so that it waits for both little more than the limit. One that takes longer, or fails, is given up, and
the cache is left alone for a second. Nothing here ever raises: what is not remembered costs little (``cache``).

Clients choose the keys, and Redis's memory belongs to the limits: what is kept there has a short time to live, and
no more than ``WriteRate`` allows is written. The rest, and everything while Redis is nearly full, is remembered by
this process alone (rules.md 5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from aiocache import RedisCache
from aiocache.serializers import NullSerializer

from fsproxy.clock import monotonic
from fsproxy.state.memory.cache import BoundedMemoryCache
from fsproxy.state.redis.breaker import Breaker
from fsproxy.state.redis.connection import connection_pool
from fsproxy.state.redis.fullness import StoreMemory
from fsproxy.state.redis.write_rate import WriteRate

TIMEOUT_SHARE = 5
"""The cache's part of the time limit."""
REST_SECONDS = 1.0
MOST_BEHIND = 1_000
"""Writes under way at once that nobody waits for; more are not remembered by other processes."""
RENEWED_AFTER = 3
"""A value of this process's own is renewed in Redis after this part of its time there."""
CONNECTIONS = 16
_VERSION = 1
_UNKNOWN = b""
"""Kept here for a key that Redis does not know; nothing else is empty."""


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


class RemoteMemory:
    """The part that all caches of a process share: the connections, and whether they are of any use now."""

    def __init__(self, url: str, prefix: str, timeout: float, breaker: Breaker) -> None:
        limit = timeout / TIMEOUT_SHARE
        self._breaker = breaker
        self._rests_until = float("-inf")
        self.memory = StoreMemory(self._ask_memory)
        # aiocache's own arguments know neither TLS nor users nor sockets: the address is the pool's. Its
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

    def asked(self) -> None:
        """One more round trip."""
        self._breaker.round_trips += 1

    def failed(self) -> None:
        """Leave it alone for a while. Whether the store is down is the ledger's to find out, with its own limit."""
        self._breaker.failures += 1
        self._rests_until = monotonic() + REST_SECONDS

    async def close(self) -> None:
        """Close the connections."""
        await self.memory.close()
        await self.cache.client.aclose()

    async def _ask_memory(self) -> Mapping[str, Any] | None:
        """What the server tells of its memory; None while it is down."""
        if self._breaker.is_open:
            return None
        self.asked()
        found = await self.cache.client.info("memory")
        return found if isinstance(found, Mapping) else {}


class SharedCache:
    """See ``RememberingCache``: this process's memory first, then Redis.

    ``asked_again`` is how long what Redis said is believed without asking, in seconds: that a key is unknown
    as well as its value; 0: a key that is unknown is asked for every time. Redis keeps a value for ``there`` seconds.
    Where that is less than ``here``, for which this process keeps its own, its time in Redis begins again when it is
    asked for.
    """

    def __init__(
        self, remote: RemoteMemory, bound: int, asked_again: float, rate: WriteRate, *, here: float, there: float
    ) -> None:
        self._remote = remote
        self._here = BoundedMemoryCache(bound)
        self._asked_again = asked_again
        self._rate = rate
        self._there = there
        self._renews = there < here
        self._kept_here = here
        self._fresh = here - there / RENEWED_AFTER
        """An own value with less time left than this is due to be renewed in Redis."""
        self._behind: set[asyncio.Task[None]] = set()

    async def get(self, key: str) -> Any:
        """The value, or None: also when Redis does not say."""
        value = await self._here.get(key)
        if value is None and self._remote.is_usable:
            value = (await self._fetched([key]))[0]
            if value and self._renews:
                self._renew(key)
        elif value and self._renews and self._asked_again < self._here.left(key) < self._fresh:
            self._here.put(key, value, self._kept_here)
            self._renew(key)
        return value or None

    async def multi_get(self, keys: list[str]) -> list[Any]:
        """The values in the order of the keys, None for each that is unknown."""
        values = await self._here.multi_get(keys)
        missing = [key for key, value in zip(keys, values, strict=True) if value is None]
        if missing and self._remote.is_usable:
            found = dict(zip(missing, await self._fetched(missing), strict=True))
            values = [found.get(key) if value is None else value for key, value in zip(keys, values, strict=True)]
        return [value or None for value in values]

    async def keep(self, org: str, key: str, value: Any, ttl: float) -> None:
        """Keep the value, here and there; the next request may reach another process."""
        await self._here.keep(org, key, value, ttl)
        if self._remote.is_writable and self._rate.take(org, 1):
            await self._store([(key, value)])

    async def keep_all(self, org: str, pairs: list[tuple[str, Any]], ttl: float) -> None:
        """Keep every value; Redis is told behind, as a repeat comes seconds later if at all."""
        await self._here.keep_all(org, pairs, ttl)
        if self._remote.is_writable and (taken := self._rate.take(org, len(pairs))):
            self._do_behind(self._store(pairs[:taken]))

    async def close(self) -> None:
        """Let what is on its way arrive: it takes no longer than the time limit."""
        await asyncio.gather(*self._behind, return_exceptions=True)

    def _do_behind(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._behind) >= MOST_BEHIND:
            work.close()
            return
        task = asyncio.ensure_future(work)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    def _renew(self, key: str) -> None:
        """Let the value's time in Redis begin again. This never brings back a key that is gone."""
        if self._remote.is_usable:
            self._do_behind(self._renewed(key))

    async def _renewed(self, key: str) -> None:
        self._remote.asked()
        try:
            await self._remote.cache.expire(key, int(self._there))
        except Exception:  # noqa: BLE001 - whatever it is: not remembered
            self._remote.failed()

    async def _fetched(self, keys: list[str]) -> list[Any]:
        cache = self._remote.cache
        self._remote.asked()
        try:
            values = [await cache.get(keys[0])] if len(keys) == 1 else await cache.multi_get(keys)
        except Exception:  # noqa: BLE001 - whatever it is: not remembered
            self._remote.failed()
            return [None] * len(keys)
        if not isinstance(values, list) or len(values) != len(keys):
            self._remote.failed()
            return [None] * len(keys)
        if self._asked_again:
            for key, value in zip(keys, values, strict=True):
                await self._here.set(key, _UNKNOWN if value is None else value, ttl=self._asked_again)
        return values

    async def _store(self, pairs: list[tuple[str, Any]]) -> None:
        cache, ttl = self._remote.cache, int(self._there)
        self._remote.asked()
        try:
            stored = await (cache.set(*pairs[0], ttl=ttl) if len(pairs) == 1 else cache.multi_set(pairs, ttl=ttl))
        except Exception:  # noqa: BLE001 - whatever it is: not remembered
            stored = None
        if stored is None:
            # Also what a switched-off aiocache says.
            self._remote.failed()
