"""How many sessions each org has used up in its billing cycles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType

import msgspec

from fsproxy.core.model import Instant

_NONE: Mapping[str, int] = MappingProxyType({})
_NO_COUNTS: Mapping[str, Count] = MappingProxyType({})


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

    def recent(self, most: int) -> list[str]:
        """At most so many orgs, the one that was asked for last first."""
        return list(islice(reversed(self._orgs), most))

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
                self._unnote(org, (ended,))
                del cycles[ended]
            count = cycles[cycle] = Count(org, cycle, 0, ends, self.touched)
        return count

    def drain(self, most: int) -> list[tuple[str, str, int, Instant]]:
        """At most so many of what changed since it was last drained: org, cycle, used, end."""
        rows: list[tuple[str, str, int, Instant]] = []
        while self.touched and len(rows) < most:
            (org, cycle), _ = self.touched.popitem()
            # What changed may be a count that had to go; another may stand in its place.
            count = self._orgs.get(org, _NO_COUNTS).get(cycle)
            if count is not None:
                rows.append((org, cycle, count.used, count.ends))
        return rows

    def note(self, keys: Iterable[tuple[str, str]]) -> None:
        """Drain these once more, those that are still kept."""
        if self.touched is None:
            return
        for org, cycle in keys:
            count = self._orgs.get(org, _NO_COUNTS).get(cycle)
            if count is not None:
                self.touched[org, cycle] = count

    def note_all(self) -> Iterator[None]:
        """Drain everything once more; a step of the iterator is short."""
        for org in list(self._orgs):
            self.note((org, cycle) for cycle in self._orgs.get(org, _NO_COUNTS))
            yield

    def _make_room(self, now: Instant) -> None:
        if not self._orgs:
            return
        oldest = next(iter(self._orgs))
        if all(count.ends <= now for count in self._orgs[oldest].values()):
            self._unnote(oldest, self._orgs.pop(oldest))
        elif len(self._orgs) >= self._bound:
            self._unnote(oldest, self._orgs.pop(oldest))
            self.evicted += 1

    def _unnote(self, org: str, cycles: Iterable[str]) -> None:
        if self.touched is not None:
            for cycle in cycles:
                self.touched.pop((org, cycle), None)
