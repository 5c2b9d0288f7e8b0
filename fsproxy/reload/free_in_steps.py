"""Freeing 100,000 rules a few at a time: at once, it would hold the event loop for 50 ms, from any thread."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from types import MappingProxyType

AT_ONCE = 500
"""Objects that are freed without letting others run: well under 1 ms."""
_SHARDS = 256
_CONTAINERS = (tuple, list, dict, set, frozenset, MappingProxyType)
_OURS = ("fsproxy.config", "fsproxy.core", "fsproxy.proxy.generation", "ipaddress")


def is_free(thing: object) -> bool:
    """Nobody but the caller's one container holds it: to be asked with ``container[index]`` itself."""
    # The container, this function's argument, and getrefcount's own.
    return sys.getrefcount(thing) <= _HELD_BY_ONE


def free_in_steps(things: list[object]) -> None:
    """Free these, and what they alone hold, in small steps. Empties the list. For a thread.

    What others hold as well is not touched: references are dropped, nothing is changed.
    """
    held = _all_within(things)
    things.clear()
    # A container goes before what is in it, so that nothing goes with it that is large itself.
    held.reverse()
    while held:
        del held[-AT_ONCE:]


def _all_within(things: list[object]) -> list[object]:
    held: list[object] = []
    # Many sets, as a large one stops everything when it grows.
    seen: list[set[int]] = [set() for _ in range(_SHARDS)]
    waiting = list(things)
    while waiting:
        thing = waiting.pop()
        # Python does not track what holds only numbers and texts; there may be many of them in it all the same.
        tracked = gc.is_tracked(thing)
        if not tracked and not (isinstance(thing, _CONTAINERS) and len(thing) > AT_ONCE):
            continue
        number = id(thing)
        shard = seen[(number >> 4) % _SHARDS]
        if number in shard or not _is_data(thing):
            continue
        shard.add(number)
        held.append(thing)
        (waiting if tracked else held).extend(gc.get_referents(thing))
    while seen:
        seen.pop()
    return held


def _is_data(thing: object) -> bool:
    if isinstance(thing, _CONTAINERS):
        # A module's or a class's own names lead everywhere.
        return not (isinstance(thing, Mapping) and ("__name__" in thing or "__module__" in thing))
    return not isinstance(thing, type) and type(thing).__module__.startswith(_OURS)


def _held_by_one() -> int:
    box: list[object] = [object()]

    def ask(thing: object) -> int:
        return sys.getrefcount(thing)

    return ask(box[0])


_HELD_BY_ONE = _held_by_one()
