"""A bounded table that forgets by age, without a list to walk and without a pause.

How it forgets: time is cut into slices, and every key is in exactly one slice, which is never later than the one of
its last activity. A refresh changes the value alone, so it costs nothing here. Only when a slice is older than ``idle``
are its keys looked at, a few with every operation. A key that was active since then moves to the slice of its last
activity; any other is forgotten. A full table does the same with its oldest slice, at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import Generic, TypeVar

from fsproxy.state.memory.journal import SHARDS, Journal
from fsproxy.state.memory.keys import KEY_BITS

V = TypeVar("V")

_SHARD_BITS = KEY_BITS - (SHARDS - 1).bit_length()
"""Shards go by the keys' upper bits: what one drains lies close together on disk, so that writing costs a tenth."""
_SWEPT = 4
"""Keys looked at with each operation. An operation adds fewer, so the sweep catches up."""
_TRIED = 64
"""Keys looked at to find the oldest one when the table is full."""


class _Slices:
    """Keys by the slice of time in which they were last found active."""

    __slots__ = ("_keys", "_oldest", "_width", "ends")

    def __init__(self, width: float) -> None:
        self._width = width
        self._keys: dict[int, list[int]] = {}
        self._oldest = 0
        self.ends = inf
        """When the oldest slice ends."""

    def add(self, key: int, at: float) -> None:
        number = int(at // self._width)
        keys = self._keys.get(number)
        if keys is None:
            self._keys[number] = [key]
            if (number + 1) * self._width < self.ends:
                self._oldest, self.ends = number, (number + 1) * self._width
        else:
            keys.append(key)

    def pop(self) -> int:
        """Remove a key of the oldest slice, and return it. There must be one."""
        keys = self._keys[self._oldest]
        key = keys.pop()
        if not keys:
            del self._keys[self._oldest]
            self._oldest = min(self._keys, default=0)
            self.ends = (self._oldest + 1) * self._width if self._keys else inf
        return key


class ExpiringTable(Generic[V]):
    """Key -> value, at most ``bound`` of them. Every operation is O(1).

    ``last_of`` returns when a key with its value was last active, in seconds. A key that was not active for ``idle``
    seconds is forgotten sooner or later, so a reader of a value must check its age. A full table evicts the key that
    was active longest ago (to ``width`` seconds, among 64 looked at) and counts it in ``evicted``.
    """

    __slots__ = ("_bound", "_last_of", "_shards", "_slices", "evicted", "idle", "journal", "size")

    def __init__(self, bound: int, idle: float, width: float, last_of: Callable[[int, V], float]) -> None:
        self._bound = bound
        self.idle = idle
        self._last_of = last_of
        self._shards: tuple[dict[int, V], ...] = tuple({} for _ in range(SHARDS))
        self._slices = _Slices(width)
        self.size = 0
        """Keys in the table."""
        self.evicted = 0
        """Keys that were forgotten to make room, since the start."""
        self.journal: Journal[int] | None = None
        """The keys that were put since they were last drained; all are in the table. None: the table is not drained."""

    def __len__(self) -> int:
        return self.size

    def get(self, key: int) -> V | None:
        """Return the value, which may be past its time, or None."""
        return self._shards[key >> _SHARD_BITS].get(key)

    def put(self, key: int, value: V, at: float | None = None) -> None:
        """Keep or replace a value. ``at``: what ``last_of`` would return, where the caller knows it."""
        shard = self._shards[key >> _SHARD_BITS]
        if key not in shard:
            if self.size >= self._bound:
                self._evict()
            self.size += 1
            self._slices.add(key, self._last_of(key, value) if at is None else at)
        shard[key] = value
        if self.journal is not None:
            self.journal.shards[key >> _SHARD_BITS].add(key)

    def sweep(self, now: float) -> bool:
        """Look at a few keys whose slice has passed, and forget those that were not active since.

        Return whether there may be more of them.
        """
        until, slices = now - self.idle, self._slices
        for _ in range(_SWEPT):
            if slices.ends > until:
                return False
            key = slices.pop()
            last = self._last_of(key, self._shards[key >> _SHARD_BITS][key])
            if last > until:
                slices.add(key, last)
            else:
                self._forget(key)
        return True

    # -- for the writer that copies the table to disk

    def start_journal(self) -> None:
        """Note from now on what is put, for ``drain``."""
        self.journal = Journal(lambda key: key >> _SHARD_BITS)

    def drain(self, most: int) -> list[tuple[int, V]]:
        """Return at most so many keys that were put since they were last drained, with their present values."""
        keys = self.journal.take(most) if self.journal is not None else ()
        return [(key, self._shards[key >> _SHARD_BITS][key]) for key in keys]

    def note_all(self) -> Iterator[None]:
        """Let everything be drained once more. A step of the iterator is short."""
        if self.journal is not None:
            for shard, keys in zip(self._shards, self.journal.shards, strict=True):
                keys.update(shard)
                yield

    # -- within

    def _evict(self) -> None:
        key = -1
        for tried in range(_TRIED + 1):
            ends = self._slices.ends
            key = self._slices.pop()
            last = self._last_of(key, self._shards[key >> _SHARD_BITS][key])
            if last < ends or tried == _TRIED:
                break
            self._slices.add(key, last)
        self._forget(key)
        self.evicted += 1

    def _forget(self, key: int) -> None:
        del self._shards[key >> _SHARD_BITS][key]
        self.size -= 1
        if self.journal is not None:
            self.journal.shards[key >> _SHARD_BITS].discard(key)
