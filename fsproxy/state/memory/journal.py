"""Which keys of a table changed, for the writer that copies it to disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")

SHARDS = 64
"""A set or dict of a million entries stops the event loop for 0.1 s when it grows; one of 64 parts for 2 ms."""


class Journal(Generic[K]):
    """The keys that changed since they were last taken, in 64 sets. ``shard_of`` chooses a key's set."""

    __slots__ = ("_shard_of", "shards")

    def __init__(self, shard_of: Callable[[K], int]) -> None:
        self._shard_of = shard_of
        self.shards: tuple[set[K], ...] = tuple(set() for _ in range(SHARDS))

    def add(self, key: K) -> None:
        """Note a change."""
        self.shards[self._shard_of(key)].add(key)

    def discard(self, key: K) -> None:
        """Forget a change, as the key is gone."""
        self.shards[self._shard_of(key)].discard(key)

    def take(self, most: int) -> list[K]:
        """Remove and return at most so many keys, one set after another."""
        taken: list[K] = []
        for shard in self.shards:
            while shard and len(taken) < most:
                taken.append(shard.pop())
            if shard:
                break
            # A set that was large stays slow to look through until it is cleared.
            shard.clear()
        return taken
