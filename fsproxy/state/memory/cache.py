"""A cache of aiocache's in memory, with a bound and without what makes it slow."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from aiocache.base import BaseCache
from aiocache.serializers import NullSerializer

from fsproxy.clock import monotonic


class BoundedMemoryCache(BaseCache):  # type: ignore[misc]  # aiocache ships no types
    """An aiocache cache with a bound, as clients choose the keys. Nothing here suspends.

    It knows get, multi_get and set of aiocache's interface; the rest raises NotImplementedError. Full, the entry that
    was set longest ago goes first, counted in ``evicted``. An entry carries its own end, and is dropped when it is met
    or when entries behind it are added: a timer of the event loop for every key, as aiocache's own memory cache has it,
    costs more than all the rest.
    """

    def __init__(self, bound: int) -> None:
        # aiocache's own time limit wraps every call in a timer; memory needs none.
        super().__init__(serializer=NullSerializer(), timeout=0)
        self._bound = bound
        self._cache: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        self.evicted = 0
        """Entries that were dropped to make room, since the start."""

    def __len__(self) -> int:
        return len(self._cache)

    def clock(self) -> float:
        """Return seconds of which only differences matter. Tests put their own in its place."""
        return monotonic()

    async def get(self, key: str) -> Any:
        """Return the value, or None. It goes past aiocache's layers, as every bundle asks."""
        return self._value(key)

    async def _multi_get(self, keys: list[str], encoding: str, _conn: Any = None) -> list[Any]:  # noqa: ARG002 - aiocache's signature
        return [self._value(key) for key in keys]

    async def _set(self, key: str, value: Any, ttl: float | None, _cas_token: Any = None, _conn: Any = None) -> bool:
        self.put(key, value, ttl)
        return True

    async def keep(self, org: str, pairs: list[tuple[str, Any]], ttl: float, *, at_once: bool) -> None:  # noqa: ARG002 - all orgs share the bound
        """Keep every value for ``ttl`` seconds."""
        for key, value in pairs:
            self.put(key, value, ttl)

    def left(self, key: str) -> float:
        """Return for how many seconds more an entry is kept; 0 for one that is not there."""
        entry = self._cache.get(key)
        return max(0.0, entry[0] - self.clock()) if entry is not None else 0.0

    def put(self, key: str, value: Any, ttl: float | None) -> None:
        """Keep the value for ``ttl`` seconds, or without an end: ``set`` without its coroutine."""
        cache = self._cache
        now = self.clock()
        cache[key] = (now + ttl if ttl else float("inf"), value)
        cache.move_to_end(key)
        # Entries of one store live equally long, so the oldest is the first to end. Two are looked at for one added,
        # so the looking keeps up.
        for _ in range(2):
            oldest = next(iter(cache))
            is_over = cache[oldest][0] <= now
            if not is_over and len(cache) <= self._bound:
                return
            del cache[oldest]
            self.evicted += not is_over

    def _value(self, key: str) -> Any:
        entry = self._cache.get(key)
        if entry is None:
            return None
        if entry[0] <= self.clock():
            del self._cache[key]
            return None
        return entry[1]
