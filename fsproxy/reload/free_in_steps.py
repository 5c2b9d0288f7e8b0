"""Freeing 100,000 rules a few at a time: all at once would hold the event loop for 50 ms, from whatever thread.

Python frees an object when its last reference goes, and all that it alone holds with it, without letting other threads
run. So first references to everything within are gathered in one list, in such an order that each container is
before what it holds. Then the list is cut from its containers on, in steps: each step frees few objects, as what they
hold is still in the list. Between two steps other threads run.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from types import MappingProxyType

AT_ONCE = 500
"""Objects that are freed without letting others run: well under 1 ms."""
_SHARDS = 256
_CONTAINERS = (tuple, list, dict, set, frozenset, MappingProxyType)
_OURS = ("fsproxy.config", "fsproxy.core", "fsproxy.proxy.generation", "ipaddress")


def free_in_steps(things: list[object]) -> None:
    """Free these, and what they alone hold, in small steps; empty the list. Call it in a thread.

    What others hold as well stays: only references are dropped, and nothing is changed.
    """
    held = _all_within(things)
    things.clear()
    # The containers are to go first, from the end of the list, so that each frees itself alone.
    held.reverse()
    while held:
        del held[-AT_ONCE:]


def _all_within(things: list[object]) -> list[object]:
    held: list[object] = []
    # Many sets, as a large one holds everything up when it grows.
    seen: list[set[int]] = [set() for _ in range(_SHARDS)]
    waiting = list(things)
    while waiting:
        thing = waiting.pop()
        # Python does not track a container of numbers and texts alone, however many there are in it.
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
