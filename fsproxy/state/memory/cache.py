"""A cache of aiocache's in memory, with a bound and without what makes it slow."""

from __future__ import annotations

import sys
from math import inf
from typing import Any

from fsproxy.state.memory.bounded_table import BoundedTable

# aiocache imports redis-py where that is installed, which takes 19 MB and a fifth of the start. A name without a module
# cannot be imported, so aiocache does without; ``state.redis`` imports both itself.
_WITHOUT = "redis" not in sys.modules
if _WITHOUT:
    sys.modules["redis"] = None  # type: ignore[assignment]  # no module: that is what keeps it out
try:
    from aiocache.base import BaseCache
    from aiocache.serializers import NullSerializer
finally:
    if _WITHOUT:
        del sys.modules["redis"]


class BoundedMemoryCache(BaseCache, BoundedTable[str | bytes, Any]):  # type: ignore[misc]  # aiocache ships no types
    """An aiocache cache with a bound, as clients choose the keys. Nothing here suspends.

    It knows get, multi_get and set of aiocache's interface; the rest raises NotImplementedError. It has no timer of the
    event loop for every key, as aiocache's own memory cache does: that costs more than all the rest.
    """

    def __init__(self, bound: int) -> None:
        # aiocache's own time limit wraps every call in a timer; memory needs none.
        BaseCache.__init__(self, serializer=NullSerializer(), timeout=0)
        BoundedTable.__init__(self, bound)

    async def _get(self, key: str, encoding: str, _conn: Any = None) -> Any:  # noqa: ARG002 - aiocache's signature
        return self.find(key)

    async def multi_get(self, keys: list[str]) -> list[Any]:
        """Return the values, None for each that is unknown. It goes past aiocache's layers, as every bundle asks."""
        return self.find_all(keys)

    async def _set(self, key: str, value: Any, ttl: float | None, _cas_token: Any = None, _conn: Any = None) -> bool:
        self.put(key, value, ttl or inf)
        return True
