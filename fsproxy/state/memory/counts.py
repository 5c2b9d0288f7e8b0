"""How many sessions each org has used in its billing cycles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType

import msgspec

from fsproxy.core.model import Instant
from fsproxy.state.memory.journal import SHARDS, Journal

_NO_COUNTS: Mapping[str, Count] = MappingProxyType({})
_Key = tuple[str, str]
"""Org and cycle."""


class Count(msgspec.Struct, gc=False):
    """Units used and reserved in one cycle of one org."""

    key: _Key
    used: int
    ends: Instant
    journal: Journal[_Key] | None

    def add(self, units: int) -> None:
        """Count so many more; a negative number counts fewer."""
        self.used += units
        if self.journal is not None:
            self.journal.add(self.key)


class Counts:
    """Counts by org and cycle. Those of ended cycles are forgotten.

    At most ``bound`` orgs: the one that was asked for longest ago goes first, counted in ``evicted``.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._orgs: OrderedDict[str, dict[str, Count]] = OrderedDict()
        self.evicted = 0
        """Orgs whose counts were forgotten to make room, since the start."""
        self._journal: Journal[_Key] | None = None

    def __len__(self) -> int:
        return len(self._orgs)

    def used(self, org: str) -> Mapping[str, int]:
        """Return the org's units by cycle."""
        return {cycle: count.used for cycle, count in self._orgs.get(org, _NO_COUNTS).items()}

    def recent(self, most: int) -> list[str]:
        """Return at most so many orgs, the one that was asked for last first."""
        return list(islice(reversed(self._orgs), most))

    def of(self, org: str, cycle: str, ends: Instant, now: Instant) -> Count:
        """Return the count of a cycle that ends then. It is made if there is none."""
        cycles = self._orgs.get(org)
        if cycles is None:
            self._make_room(now)
            cycles = self._orgs[org] = {}
        elif len(self._orgs) > 1:
            self._orgs.move_to_end(org)
        count = cycles.get(cycle)
        if count is None:
            for ended in [name for name, other in cycles.items() if other.ends <= now]:
                self._forget(cycles.pop(ended))
            count = cycles[cycle] = Count((org, cycle), 0, ends, self._journal)
        return count

    # -- for the writer that copies the counts to disk

    def start_journal(self) -> None:
        """Note from now on what changes, for ``drain``. Called before the first count is made."""
        self._journal = Journal(lambda key: hash(key) % SHARDS)

    def drain(self, most: int) -> list[tuple[str, str, int, Instant]]:
        """Return at most so many counts that changed since they were last drained: org, cycle, used, end."""
        keys = self._journal.take(most) if self._journal is not None else ()
        counts = [self._orgs[org][cycle] for org, cycle in keys]
        return [(*count.key, count.used, count.ends) for count in counts]

    def note_all(self) -> Iterator[None]:
        """Let everything be drained once more. A step of the iterator is short."""
        for org in list(self._orgs):
            for count in self._orgs.get(org, _NO_COUNTS).values():
                count.add(0)
            yield

    # -- within

    def _make_room(self, now: Instant) -> None:
        if not self._orgs:
            return
        oldest = next(iter(self._orgs))
        ended = all(count.ends <= now for count in self._orgs[oldest].values())
        if ended or len(self._orgs) >= self._bound:
            for count in self._orgs.pop(oldest).values():
                self._forget(count)
            self.evicted += not ended

    def _forget(self, count: Count) -> None:
        if self._journal is not None:
            self._journal.discard(count.key)
        # A reservation may still hold it, and give its unit back: that is no change of what is kept.
        count.journal = None
