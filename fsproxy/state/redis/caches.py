"""The connections of the caches to the servers, one set for each, and how full these are.

A round trip to a cache may take a fifth of ``state.redis.timeout``. A request waits for the ledger as long as the
timeout, so it waits for both little more than that. A round trip that takes longer, or fails, is given up, and the
cache of that server is left alone for a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from aiocache.backends.redis import RedisCache
from aiocache.serializers import NullSerializer
from prometheus_client.core import GaugeMetricFamily, Metric
from redis.exceptions import ResponseError

from fsproxy.clock import monotonic
from fsproxy.state.redis.connections.breaker import Breaker, StoreState
from fsproxy.state.redis.connections.connection import RedisLink
from fsproxy.state.redis.connections.links import Links
from fsproxy.state.redis.connections.probing import is_redirection
from fsproxy.state.redis.servers.server import Server
from fsproxy.state.redis.store_memory import StoreMemory
from fsproxy.state.redis.wire import org_tag

TIMEOUT_SHARE = 5
"""The cache may use this part of the time limit."""
REST_SECONDS = 1.0
CONNECTIONS = 2
"""Where the server is near, two read and write as fast as sixteen, as a command costs this process some 150 µs.

The link is a third connection of the process, and there is one to each Sentinel."""
COVERAGE, UNKNOWN = "cluster-require-full-coverage", "unknown"
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

    def __init__(
        self, server: Server, prefix: str, timeout: float, breaker: Breaker, *, in_cluster: bool = False
    ) -> None:
        limit = timeout / TIMEOUT_SHARE
        self._breaker = breaker
        self._rests_until = float("-inf")
        self.memory = StoreMemory(self._ask_memory)
        self._in_cluster = in_cluster
        self.coverage = ""
        """Whether the node of a Cluster serves nothing as soon as any slot has no node: ``yes``, ``no`` or ``unknown``.

        "": it was not asked yet."""
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
        """Return the command's answer. None: it failed, and as a rule the cache is left alone for a while.

        Whether the store is down is the ledger's to find out, with its own time limit.
        """
        self._breaker.round_trips += 1
        answer = None
        try:
            answer = await command
        except ResponseError as error:
            if is_redirection(error):
                # The slot of one org moves, or has moved: the ledger finds that out, and the others go on.
                return None
        except Exception:  # noqa: BLE001, S110 - whatever it is: not remembered
            pass
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
        if self._in_cluster:
            await self._ask_coverage()
        self._breaker.round_trips += 1
        # What it evicts is not said beside its memory; all that it says by itself costs 50 µs more.
        found = await self.cache.client.info()
        return found if isinstance(found, Mapping) else {}

    async def _ask_coverage(self) -> None:
        """CONFIG is often not permitted, or not there."""
        self._breaker.round_trips += 1
        try:
            found = await self.cache.client.config_get(COVERAGE)
        except ResponseError:
            self.coverage = UNKNOWN
        else:
            self.coverage = str(found.get(COVERAGE, UNKNOWN))


class NodeCaches:
    """The caches of all servers: of one, or of each node of a Cluster. Started and closed once."""

    def __init__(self, links: Links, prefix: str, timeout: float) -> None:
        self._links = links
        self._prefix = prefix
        self._timeout = timeout
        self._by_link: dict[object, CacheConnections] = {}
        self._is_started = False
        self._closing: set[asyncio.Task[None]] = set()
        links.on_change = self._follow
        self._follow()

    def of(self, org: str) -> CacheConnections | None:
        """Return those of the server that keeps the org's limits. None: no node of the Cluster does."""
        return self._by_link.get(self._links.of(org))

    def begin_of(self, org: str) -> str:
        """Return what the org's keys begin with in the caches: in a Cluster they must lie in one slot."""
        return f"{org_tag(org)}:" if self._links.by_slot else ""

    def is_full(self, org: str) -> bool:
        """Return whether the org's server has no room for what is only remembered."""
        caches = self.of(org)
        return caches is not None and caches.memory.is_full

    def every(self) -> list[tuple[RedisLink, CacheConnections]]:
        """Return each link with its caches."""
        return [(link, self._by_link[link]) for link in self._links.every()]

    def state(self) -> dict[str, object]:
        """Return what ``/readyz`` shows: the fullest server's memory, the longest answer, each node of a Cluster."""
        fullest, latencies = self.fullest(), [caches.memory.latency for _, caches in self.every()]
        known = [each for each in latencies if each is not None]
        found: dict[str, object] = {
            "memory": fullest.state() if fullest is not None else None,
            "latency": max(known, default=None),
            "connections": self.open,
        }
        if self._links.by_slot:
            found["nodes"] = [
                {
                    "node": link.breaker.place,
                    "state": link.breaker.state.value,
                    "slots": link.breaker.slots,
                    "memory": caches.memory.state(),
                }
                for link, caches in self.every()
            ]
        return found

    @property
    def open(self) -> int:
        """How many connections to the servers, and to Sentinels, are open."""
        return sum(link.server.open for link in self._links.every())

    @property
    def evicted(self) -> int:
        """How many keys the servers were seen to evict."""
        return sum(caches.memory.evicted for _, caches in self.every())

    def fullest(self) -> StoreMemory | None:
        """Return the memory of the server that has the least share left. None: no server is known."""
        every = [caches.memory for _, caches in self.every()]
        return max(every, key=lambda memory: (memory.share, memory.used or 0), default=None)

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics: the fullest server's memory, and the nodes of a Cluster by their state."""
        text = "Connections to the store, and to Sentinels, that are open."
        yield GaugeMetricFamily("fsproxy_store_connections", text, self.open)
        fullest = self.fullest()
        if fullest is not None:
            yield from fullest.collect()
        evicted = [caches.memory.evicted_keys for _, caches in self.every()]
        if any(each is not None for each in evicted):
            text = "Keys that the store has thrown away for want of memory, since its start."
            yield GaugeMetricFamily("fsproxy_store_evicted_keys", text, sum(filter(None, evicted)))
        if self._links.by_slot:
            text = "Primaries of the Cluster, by whether they answer."
            family = GaugeMetricFamily("fsproxy_store_nodes", text, labels=("state",))
            states = [link.breaker.state for link in self._links.every()]
            for state in StoreState:
                family.add_metric((state.value,), states.count(state))
            yield family

    def start(self) -> None:
        """Ask each server, from now on, how full it is."""
        self._is_started = True
        for caches in self._by_link.values():
            caches.memory.start()
        self._follow()

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*self._closing, *(caches.close() for caches in self._by_link.values()))

    def _follow(self) -> None:
        """Have caches of each link, and of no other."""
        links = self._links.every()
        for link in links:
            if link not in self._by_link:
                caches = CacheConnections(
                    link.server, self._prefix, self._timeout, link.breaker, in_cluster=self._links.by_slot
                )
                self._by_link[link] = caches
                if self._is_started:
                    caches.memory.start()
        for gone in set(self._by_link).difference(links):
            task = asyncio.create_task(self._by_link.pop(gone).close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
