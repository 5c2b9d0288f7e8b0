"""How many sessions each org has used up in its billing cycles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from fsproxy.core.limits.operations import QuotaTerms
from fsproxy.core.model import Instant

_NONE: Mapping[str, int] = MappingProxyType({})


class Count(msgspec.Struct, gc=False):
    """Units used and reserved in one cycle of one org."""

    used: int
    ends: Instant


class Counts:
    """Counts by org and cycle; those of ended cycles are forgotten.

    At most ``bound`` orgs: the one that was asked for longest ago goes first, counted in ``evicted``.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._orgs: OrderedDict[str, dict[str, Count]] = OrderedDict()
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._orgs)

    def used(self, org: str) -> Mapping[str, int]:
        """Units by cycle."""
        cycles = self._orgs.get(org)
        return {cycle: count.used for cycle, count in cycles.items()} if cycles else _NONE

    def of(self, org: str, terms: QuotaTerms, now: Instant) -> Count:
        """The count that these terms speak of, made when there is none."""
        cycles = self._orgs.get(org)
        if cycles is None:
            self._make_room(now)
            cycles = self._orgs[org] = {}
        else:
            self._orgs.move_to_end(org)
        count = cycles.get(terms.cycle)
        if count is None:
            for ended in [cycle for cycle, other in cycles.items() if other.ends <= now]:
                del cycles[ended]
            count = cycles[terms.cycle] = Count(0, terms.ends)
        return count

    def _make_room(self, now: Instant) -> None:
        if not self._orgs:
            return
        oldest = next(iter(self._orgs))
        if all(count.ends <= now for count in self._orgs[oldest].values()):
            del self._orgs[oldest]
        elif len(self._orgs) >= self._bound:
            del self._orgs[oldest]
            self.evicted += 1
