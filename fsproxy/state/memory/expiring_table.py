"""A bounded table that forgets by age, without a list to walk and without a pause.

Keys are kept in slices of time, each key in one slice, no later than the one of its last activity.
Activity does not move a key; it is moved when its slice comes up, so a refresh costs nothing. What
does not come up in time is looked at a few keys at a time, with every operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from fsproxy.state.memory.keys import KEY_BITS

V = TypeVar("V")

_SHARDS = 64
"""One dict of a million entries stops the loop for 0.1 s when it grows; one of 64 for 2 ms."""
_SHARD_BITS = KEY_BITS - 6
"""By the keys' upper bits: what a shard drains lies close together on disk, which costs it a tenth of the writing."""
_SWEPT = 4
"""Keys looked at with each operation: more than one operation can add, so the sweep catches up."""
_TRIED = 64
"""Keys looked at to find the oldest one when the table is full."""


class _Slices:
    """Keys by the slice of time in which they were last seen active."""

    __slots__ = ("_keys", "_oldest", "_width")

    def __init__(self, width: float) -> None:
        self._width = width
        self._keys: dict[int, list[int]] = {}
        self._oldest: int | None = None

    def add(self, key: int, at: float) -> None:
        number = int(at // self._width)
        keys = self._keys.get(number)
        if keys is None:
            self._keys[number] = [key]
            if self._oldest is None or number < self._oldest:
                self._oldest = number
        else:
            keys.append(key)

    def pop(self, until: float) -> int | None:
        """A key of the oldest slice, if all of that slice is before ``until``."""
        oldest = self._oldest
        if oldest is None or (oldest + 1) * self._width > until:
            return None
        keys = self._keys[oldest]
        key = keys.pop()
        if not keys:
            del self._keys[oldest]
            self._oldest = min(self._keys, default=None)
        return key

    def pop_oldest(self) -> tuple[int, float]:
        """A key of the oldest slice, and when that slice ends. Only for a table that is not empty."""
        if self._oldest is None:
            raise LookupError("no slice is left")
        ends = (self._oldest + 1) * self._width
        key = self.pop(ends)
        if key is None:
            raise LookupError("no key is left")
        return key, ends


class ExpiringTable(Generic[V]):
    """Key -> value, at most ``bound`` of them. Every operation is O(1).

    Full, it evicts the key that was active longest ago (to the width of a slice, among 64 looked at)
    and counts it in ``evicted``. A key that was not active for ``idle`` seconds goes in time: the
    owner must look at a value's age itself.
    """

    __slots__ = ("_bound", "_last_of", "_shards", "_size", "_slices", "evicted", "idle", "touched")

    def __init__(self, bound: int, idle: float, width: float, last_of: Callable[[V], float]) -> None:
        self._bound = bound
        self.idle = idle
        self._last_of = last_of
        self._shards: tuple[dict[int, V], ...] = tuple({} for _ in range(_SHARDS))
        self._slices = _Slices(width)
        self._size = 0
        self.evicted = 0
        """Keys that had to go before their time, since the start."""
        self.touched: tuple[set[int], ...] | None = None
        """By shard, the keys that were put since they were last drained; all are in the table. None: nobody asks."""

    def __len__(self) -> int:
        return self._size

    def items(self) -> Iterator[tuple[int, V]]:
        """Every key and value, some perhaps past their time. For tests and gauges: it walks."""
        for shard in self._shards:
            yield from shard.items()

    def get(self, key: int) -> V | None:
        """The value, perhaps past its time, or None."""
        return self._shards[key >> _SHARD_BITS].get(key)

    def put(self, key: int, value: V) -> None:
        """Keep or replace a value."""
        shard = self._shards[key >> _SHARD_BITS]
        if key not in shard:
            if self._size >= self._bound:
                self._evict()
            self._size += 1
            self._slices.add(key, self._last_of(value))
        shard[key] = value
        if self.touched is not None:
            self.touched[key >> _SHARD_BITS].add(key)

    def journal(self) -> None:
        """From now on note what is put, for ``drain``."""
        self.touched = tuple(set() for _ in range(_SHARDS))

    def drain(self, most: int) -> list[tuple[int, V]]:
        """At most so many of those put since they were last drained, as they are now; what is gone is not in it."""
        rows: list[tuple[int, V]] = []
        if self.touched is None:
            return rows
        for shard, keys in zip(self._shards, self.touched, strict=True):
            if not keys:
                continue
            while keys and len(rows) < most:
                key = keys.pop()
                rows.append((key, shard[key]))
            if keys:
                break
            # A set that was large stays slow to look through until it is cleared.
            keys.clear()
        return rows

    def note(self, keys: Iterable[int]) -> None:
        """Drain these once more, those that are still kept."""
        if self.touched is None:
            return
        for key in keys:
            if key in self._shards[key >> _SHARD_BITS]:
                self.touched[key >> _SHARD_BITS].add(key)

    def note_all(self) -> Iterator[None]:
        """Drain everything once more; a step of the iterator is short."""
        for shard, keys in zip(self._shards, self.touched or (), strict=False):
            keys.update(shard)
            yield

    def sweep(self, now: float) -> None:
        """Look at a few keys whose slice has passed, and forget those that were not active since."""
        until = now - self.idle
        for _ in range(_SWEPT):
            key = self._slices.pop(until)
            if key is None:
                return
            shard = self._shards[key >> _SHARD_BITS]
            last = self._last_of(shard[key])
            if last > until:
                self._slices.add(key, last)
            else:
                self._forget(key)

    def _evict(self) -> None:
        for _ in range(_TRIED):
            key, ends = self._slices.pop_oldest()
            last = self._last_of(self._shards[key >> _SHARD_BITS][key])
            if last < ends:
                break
            self._slices.add(key, last)
        else:
            key, _ = self._slices.pop_oldest()
        self._forget(key)
        self.evicted += 1

    def _forget(self, key: int) -> None:
        del self._shards[key >> _SHARD_BITS][key]
        self._size -= 1
        if self.touched is not None:
            self.touched[key >> _SHARD_BITS].discard(key)
