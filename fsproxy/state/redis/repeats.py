"""The verdicts for repeats that processes share: aiocache's Redis cache behind a memory of this process.

A round trip to the cache may take a fifth of ``state.redis.timeout``. A request waits for the ledger as long as the
timeout, so it waits for both little more than that. A round trip that takes longer, or fails, is given up, and the
cache is left alone for a second. Nothing here raises, as what is not remembered costs little (``state.repeats``).

Clients choose the keys, and Redis's memory belongs to the limits. So a key there has a short time to live, and no more
than ``WriteRate`` allows is written. The rest, and everything while Redis is nearly full, is remembered by this process
alone (rules.md 5).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping
from typing import Any

from aiocache.backends.redis import RedisCache
from aiocache.serializers import NullSerializer

from fsproxy.clock import monotonic
from fsproxy.state.redis.breaker import Breaker
from fsproxy.state.redis.server import Server
from fsproxy.state.redis.store_memory import StoreMemory
from fsproxy.state.redis.write_limits import WriteRate
from fsproxy.state.repeats import REPEAT_SECONDS, REPEATS, Repeats, repeat_key

TIMEOUT_SHARE = 5
"""The cache may use this part of the time limit."""
REST_SECONDS = 1.0
MOST_BEHIND = 150
"""Commands under way at once that no request waits for. What is more stays unknown to other processes."""
CONNECTIONS = 2
"""Where the server is near, two read and write as fast as sixteen, as a command costs this process some 150 µs.

The link is a third connection of the process, and one to a Sentinel a fourth."""
_VERSION = 1


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

    def __init__(self, server: Server, prefix: str, timeout: float, breaker: Breaker) -> None:
        limit = timeout / TIMEOUT_SHARE
        self._breaker = breaker
        self._rests_until = float("-inf")
        self.memory = StoreMemory(self._ask_memory)
        # aiocache's own arguments know neither TLS nor users nor sockets, so the pool is ours. aiocache's
        # default pool raises when it is used up; this one waits.
        self.cache = _Cache(
            serializer=NullSerializer(encoding=None),
            namespace=f"{prefix}{_VERSION}:cache",
            timeout=limit,
            pool_max_size=CONNECTIONS,
            connection_pool_class=lambda **_: server.pool(timeout, CONNECTIONS),
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
        with contextlib.suppress(Exception):  # whatever it is: not remembered
            answer = await command
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
        # What it evicts is not said beside its memory; all that it says by itself costs 50 µs more.
        found = await self.cache.client.info()
        return found if isinstance(found, Mapping) else {}


class SharedRepeats(Repeats):
    """See ``Repeats``: this process's memory first, then Redis. A call that is new here is asked for every time."""

    def __init__(self, connections: CacheConnections, rate: WriteRate, bound: int = REPEATS) -> None:
        super().__init__(bound)
        self._connections = connections
        self._rate = rate
        self._behind: set[asyncio.Task[None]] = set()

    async def find(self, digests: list[bytes]) -> list[bytes | None]:
        """Return the first copies' verdicts, None for each call that is new, also when Redis does not answer."""
        found = await super().find(digests)
        missing = [place for place, verdict in enumerate(found) if verdict is None]
        if missing and self._connections.is_usable:
            keys = [repeat_key(digests[place]) for place in missing]
            values = await self._connections.run(self._connections.cache.multi_get(keys))
            if isinstance(values, list) and len(values) == len(keys):
                for place, value in zip(missing, values, strict=True):
                    found[place] = value
        return found

    async def remember(self, org: str, verdicts: list[tuple[bytes, bytes]]) -> None:
        """Keep the verdicts here, and in Redis as far as they may be written. Nothing is waited for."""
        await super().remember(org, verdicts)
        if not self._connections.is_writable or len(self._behind) >= MOST_BEHIND:
            return
        pairs = [(repeat_key(digest), verdict) for digest, verdict in verdicts[: self._rate.take(org, len(verdicts))]]
        if pairs:
            cache = self._connections.cache
            # One pair is one command; several are a transaction.
            one = len(pairs) == 1
            stored = cache.set(*pairs[0], ttl=REPEAT_SECONDS) if one else cache.multi_set(pairs, ttl=REPEAT_SECONDS)
            task = asyncio.ensure_future(self._connections.run(stored))
            self._behind.add(task)
            task.add_done_callback(self._behind.discard)

    async def close(self) -> None:
        """Let what is on its way arrive. It takes no longer than the time limit."""
        await asyncio.gather(*self._behind, return_exceptions=True)
