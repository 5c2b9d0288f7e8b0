"""aiocache's cache in memory, with a bound and without what makes it slow."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from aiocache import SimpleMemoryCache
from aiocache.base import SENTINEL

from fsproxy.clock import monotonic


class BoundedMemoryCache(SimpleMemoryCache):  # type: ignore[misc]  # aiocache ships no types
    """aiocache's memory cache with a bound: keys are chosen by clients. Nothing here suspends.

    Full, the entry that was set longest ago goes first, counted in ``evicted``. An entry carries its own
    end and is dropped when it is met, or when entries behind it are added: one timer of the event loop
    for every key, as aiocache has it, costs more than all the rest.
    """

    def __init__(self, bound: int, **options: Any) -> None:
        # aiocache's own time limit wraps every call in a timer; memory needs none.
        super().__init__(timeout=0, **options)
        self._bound = bound
        self._cache: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        self.evicted = 0
        """Entries that had to go before their time, since the start."""

    def __len__(self) -> int:
        return len(self._cache)

    def clock(self) -> float:
        """Seconds; only differences matter. Tests put their own in its place."""
        return monotonic()

    async def get(
        self,
        key: str,
        default: Any = None,
        loads_fn: Callable[[Any], Any] | None = None,
        namespace: str | None = None,
        _conn: Any = None,
    ) -> Any:
        """As aiocache's, without its layers (time limit, plugins, debug lines): it is asked for every bundle."""
        if not self._cache:
            return default
        value = self._met(self.build_key(key, namespace=self.namespace if namespace is None else namespace))
        value = (loads_fn or self.serializer.loads)(value)
        return default if value is None else value

    async def set(
        self,
        key: str,
        value: Any,
        ttl: Any = SENTINEL,
        dumps_fn: Callable[[Any], Any] | None = None,
        namespace: str | None = None,
        _cas_token: Any = None,
        _conn: Any = None,
    ) -> Any:
        """As aiocache's, without its layers: it is asked for every blocked page."""
        built = self.build_key(key, namespace=self.namespace if namespace is None else namespace)
        return await self._set(built, (dumps_fn or self.serializer.dumps)(value), self._get_ttl(ttl), _cas_token)

    def _met(self, key: str) -> Any:
        entry = self._cache.get(key)
        if entry is None:
            return None
        if entry[0] <= self.clock():
            del self._cache[key]
            return None
        return entry[1]

    async def _get(self, key: str, encoding: str = "utf-8", _conn: Any = None) -> Any:  # noqa: ARG002 - aiocache's signature
        return self._met(key)

    async def _multi_get(self, keys: list[str], encoding: str = "utf-8", _conn: Any = None) -> list[Any]:  # noqa: ARG002 - aiocache's signature
        return [self._met(key) for key in keys]

    async def _exists(self, key: str, _conn: Any = None) -> bool:
        return self._met(key) is not None

    async def _set(
        self, key: str, value: Any, ttl: float | None = None, _cas_token: Any = None, _conn: Any = None
    ) -> Any:
        if _cas_token is not None and _cas_token != self._met(key):
            return 0
        self.put(key, value, ttl)
        return True

    async def _add(self, key: str, value: Any, ttl: float | None = None, _conn: Any = None) -> bool:
        if self._met(key) is not None:
            raise ValueError("the key exists already")
        self.put(key, value, ttl)
        return True

    async def _increment(self, key: str, delta: int, _conn: Any = None) -> int:
        raise NotImplementedError("counting is the ledger's work")

    async def _expire(self, key: str, ttl: float | None, _conn: Any = None) -> bool:
        value = self._met(key)
        if value is None:
            return False
        self.put(key, value, ttl)
        return True

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return int(self._cache.pop(key, None) is not None)

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:
        for key in [key for key in self._cache if key.startswith(namespace or "")]:
            del self._cache[key]
        return True

    async def _redlock_release(self, key: str, value: Any) -> int:
        return await self._delete(key) if self._met(key) == value else 0

    async def keep(self, org: str, key: str, value: Any, ttl: float) -> None:  # noqa: ARG002 - all orgs share the bound
        """Keep the value for ``ttl`` seconds."""
        self.put(key, value, ttl)

    async def keep_all(self, org: str, pairs: list[tuple[str, Any]], ttl: float) -> None:  # noqa: ARG002
        """Keep every value for ``ttl`` seconds."""
        for key, value in pairs:
            self.put(key, value, ttl)

    def left(self, key: str) -> float:
        """Return for how many seconds more an entry is kept; 0 for one that is not there."""
        entry = self._cache.get(key)
        return max(0.0, entry[0] - self.clock()) if entry is not None else 0.0

    def put(self, key: str, value: Any, ttl: float | None) -> None:
        """``set`` without its coroutine; ``key`` and ``value`` are what the namespace and the serializer made."""
        cache = self._cache
        now = self.clock()
        cache[key] = (now + ttl if ttl else float("inf"), value)
        cache.move_to_end(key)
        # Entries of one store live equally long, so the oldest is the first to end: two looked at
        # for one added keep up.
        for _ in range(2):
            oldest = next(iter(cache))
            ended = cache[oldest][0] <= now
            if not ended and len(cache) <= self._bound:
                return
            del cache[oldest]
            self.evicted += not ended
