"""A bounded table whose entries end after a while, without a timer for each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Generator, Hashable, Iterable
from typing import Any, Generic, TypeVar

from fsproxy.clock import monotonic

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedTable(Generic[K, V]):
    """At most ``bound`` values by key, as clients choose the keys.

    Full, the entry that was put longest ago goes first, counted in ``evicted``. An entry carries its own end, and is
    dropped when it is found over or when entries behind it are added.
    """

    clock = staticmethod(monotonic)
    """Returns seconds of which only differences matter. Tests put their own in its place."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self.evicted = 0
        """Entries that were dropped to make room, since the start."""

    def __len__(self) -> int:
        return len(self._entries)

    def find_all(self, keys: Iterable[K]) -> list[V | None]:
        """Return the values in the order of the keys, None for each that is unknown. Nothing is dropped."""
        now, get = self.clock(), self._entries.get
        return [entry[1] if (entry := get(key)) is not None and now < entry[0] else None for key in keys]

    def find(self, key: K) -> V | None:
        """Return the value, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self.clock():
            del self._entries[key]
            return None
        return entry[1]

    def put(self, key: K, value: V, seconds: float) -> None:
        """Keep the value for so long."""
        entries, now = self._entries, self.clock()
        entries[key] = (now + seconds, value)
        entries.move_to_end(key)
        # This is what the first look of _make_room finds out.
        if len(entries) > self._bound or next(iter(entries.values()))[0] <= now:
            self._make_room(now, 1)

    def put_all(self, pairs: Collection[tuple[K, V]], seconds: float) -> None:
        """Keep several values by their keys."""
        entries, now = self._entries, self.clock()
        ends = now + seconds
        for key, value in pairs:
            entries[key] = (ends, value)
            entries.move_to_end(key)
        self._make_room(now, len(pairs))

    def _make_room(self, now: float, added: int) -> None:
        # Entries of one table live about equally long, so the oldest is the first to end. Two are looked at for one
        # added, so the looking keeps up.
        entries = self._entries
        for _ in range(2 * added):
            oldest = next(iter(entries))
            is_over = entries[oldest][0] <= now
            if not is_over and len(entries) <= self._bound:
                return
            del entries[oldest]
            self.evicted += not is_over


class Ready(Generic[V]):
    """A value where something else may have to be waited for: to await it does not suspend."""

    __slots__ = ("_value",)

    def __init__(self, value: V) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, V]:
        """Return the value."""
        yield from ()
        return self._value
