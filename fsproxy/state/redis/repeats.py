"""The verdicts for repeats that processes share: aiocache's Redis cache behind a memory of this process.

What cannot be had of a cache in time is taken for unknown. Nothing here raises, as what is not remembered costs little
(``state.repeats``).

Clients choose the keys, and Redis's memory belongs to the limits. So a key there has a short time to live, and no more
than ``WriteRate`` allows is written. The rest, and everything while Redis is nearly full, is remembered by this process
alone (rules.md 5).
"""

from __future__ import annotations

import asyncio

from fsproxy.state.redis.caches import NodeCaches
from fsproxy.state.redis.write_limits import WriteRate
from fsproxy.state.repeats import REPEAT_SECONDS, REPEATS, Repeats, repeat_key

MOST_BEHIND = 150
"""Commands under way at once that no request waits for. What is more stays unknown to other processes."""


class SharedRepeats(Repeats):
    """See ``Repeats``: this process's memory first, then Redis. A call that is new here is asked for every time."""

    def __init__(self, caches: NodeCaches, rate: WriteRate, bound: int = REPEATS) -> None:
        super().__init__(bound)
        self._caches = caches
        self._rate = rate
        self._behind: set[asyncio.Task[None]] = set()

    async def find(self, org: str, digests: list[bytes]) -> list[bytes | None]:
        """Return the first copies' verdicts, None for each call that is new, also when Redis does not answer."""
        found = await super().find(org, digests)
        missing = [place for place, verdict in enumerate(found) if verdict is None]
        caches = self._caches.of(org) if missing else None
        if caches is not None and caches.is_usable:
            begin = self._caches.begin_of(org)
            keys = [begin + repeat_key(digests[place]) for place in missing]
            values = await caches.run(caches.cache.multi_get(keys))
            if isinstance(values, list) and len(values) == len(keys):
                for place, value in zip(missing, values, strict=True):
                    found[place] = value
        return found

    async def remember(self, org: str, verdicts: list[tuple[bytes, bytes]]) -> None:
        """Keep the verdicts here, and in Redis as far as they may be written. Nothing is waited for."""
        await super().remember(org, verdicts)
        caches = self._caches.of(org)
        if caches is None or not caches.is_writable or len(self._behind) >= MOST_BEHIND:
            return
        written = verdicts[: self._rate.take(org, len(verdicts))]
        if written:
            begin, cache = self._caches.begin_of(org), caches.cache
            pairs = [(begin + repeat_key(digest), verdict) for digest, verdict in written]
            # One pair is one command; several are a transaction.
            one = len(pairs) == 1
            stored = cache.set(*pairs[0], ttl=REPEAT_SECONDS) if one else cache.multi_set(pairs, ttl=REPEAT_SECONDS)
            task = asyncio.ensure_future(caches.run(stored))
            self._behind.add(task)
            task.add_done_callback(self._behind.discard)

    async def close(self) -> None:
        """Let what is on its way arrive. It takes no longer than the time limit."""
        await asyncio.gather(*self._behind, return_exceptions=True)
