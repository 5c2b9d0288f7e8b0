"""How many sessions each org has used up in its billing cycles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from fsproxy.core.model import Instant

_NONE: Mapping[str, int] = MappingProxyType({})


class Count(msgspec.Struct, gc=False):
    """Units used and reserved in one cycle of one org."""

    org: str
    cycle: str
    used: int
    ends: Instant
    touched: dict[tuple[str, str], Count] | None
    """Where a change is noted; None: nobody asks."""

    def add(self, units: int) -> None:
        """Count more, or fewer."""
        self.used += units
        if self.touched is not None:
            self.touched[self.org, self.cycle] = self


class Counts:
    """Counts by org and cycle; those of ended cycles are forgotten.

    At most ``bound`` orgs: the one that was asked for longest ago goes first, counted in ``evicted``.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._orgs: OrderedDict[str, dict[str, Count]] = OrderedDict()
        self.evicted = 0
        """Orgs whose counts had to go before their time, since the start."""
        self.touched: dict[tuple[str, str], Count] | None = None
        """Counts that changed since somebody last emptied this; set before the first count is made."""

    def __len__(self) -> int:
        return len(self._orgs)

    def used(self, org: str) -> Mapping[str, int]:
        """Units by cycle."""
        cycles = self._orgs.get(org)
        return {cycle: count.used for cycle, count in cycles.items()} if cycles else _NONE

    def of(self, org: str, cycle: str, ends: Instant, now: Instant) -> Count:
        """The count of a cycle that ends then, made when there is none."""
        cycles = self._orgs.get(org)
        if cycles is None:
            self._make_room(now)
            cycles = self._orgs[org] = {}
        else:
            self._orgs.move_to_end(org)
        count = cycles.get(cycle)
        if count is None:
            for ended in [name for name, other in cycles.items() if other.ends <= now]:
                del cycles[ended]
            count = cycles[cycle] = Count(org, cycle, 0, ends, self.touched)
        return count

    def drain(self) -> list[tuple[str, str, int, Instant]]:
        """What changed since the last time: org, cycle, used, end."""
        if self.touched is None:
            return []
        rows = [(count.org, count.cycle, count.used, count.ends) for count in self.touched.values()]
        self.touched.clear()
        return rows

    def _make_room(self, now: Instant) -> None:
        if not self._orgs:
            return
        oldest = next(iter(self._orgs))
        if all(count.ends <= now for count in self._orgs[oldest].values()):
            del self._orgs[oldest]
        elif len(self._orgs) >= self._bound:
            del self._orgs[oldest]
            self.evicted += 1
