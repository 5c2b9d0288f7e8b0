"""How requests ended, by minute of the last day: of all, and of each org."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from fsproxy.core.failures import Failure
from fsproxy.core.model import OTHER
from fsproxy.telemetry.orgs import MOST_MINUTES, OTHERS, End, OrgCounts, Orgs, Series

UPSTREAM_FAILED = "upstream_failed"
"""Counted beside ``failed``."""
REJECTED_IN_PART = "rejected_in_part"
"""Counted beside how the request ended."""
_FAILED = "failed"
Counted = tuple[bool, End, int]
"""Whether they are pages, how they ended, and how many."""


class Traffic:
    """Counts what ended since the last look: once a minute, and when it is asked for.

    Requests without captured data are left out. The minutes are in rings: ``_minutes`` says which one a slot holds.
    """

    def __init__(self, orgs: Orgs) -> None:
        self.begin = self.end = 0.0
        """The present minute. ``turn`` must be called when a request ends outside of it, before that is counted."""
        self._orgs = orgs
        self._all = Series()
        self._minutes = array("q", [-1]) * MOST_MINUTES
        for counts in orgs.every():
            counts.before = counts.ended.copy()

    def turn(self, at: float) -> None:
        """Begin the minute of this time."""
        self._gather()
        self.begin = int(at) // 60 * 60.0
        self.end = self.begin + 60.0
        self._orgs.make_room(int(at) // 60)

    def _gather(self) -> None:
        for counts in self._orgs.every():
            if counts.ended != counts.before:
                self._add(counts)

    def _add(self, counts: OrgCounts) -> None:
        minute, before = int(self.begin) // 60, counts.before
        counts.before = counts.ended.copy()
        if counts.cut != counts.cut_before:
            self._count(minute, counts, (False, REJECTED_IN_PART), counts.cut - counts.cut_before)
            counts.cut_before = counts.cut
        for how, count in counts.before.items():
            new = count - before.get(how, 0)
            route, _, page, end, _ = how
            if not new or route is OTHER:
                continue
            self._count(minute, counts, (page, _FAILED if isinstance(end, Failure) else end), new)
            if isinstance(end, Failure) and end.startswith("upstream_"):
                self._count(minute, counts, (page, UPSTREAM_FAILED), new)

    def _count(self, minute: int, counts: OrgCounts, end: tuple[bool, End], new: int) -> None:
        slot, counts.last = self._slot(minute), minute
        for series in (self._all, counts.series):
            series.add(slot, end, new)

    def _slot(self, minute: int) -> int:
        slot = minute % MOST_MINUTES
        if self._minutes[slot] != minute:
            self._minutes[slot] = minute
            for series in (self._all, *(counts.series for counts in self._orgs.every())):
                series.clear(slot)
        return slot

    def minutes(self, most: int, now: float, org: str | None = None) -> Iterator[tuple[int, list[Counted]]]:
        """Yield the last minutes up to the present one, oldest first, with their beginning in Unix time.

        ``org``: of that org alone, or of ``OTHERS``. What is yielded may be read in another thread.
        """
        self._gather()
        found = self._all if org is None else self._series(org)
        this = int(now) // 60
        return ((minute * 60, self._at(found, minute)) for minute in range(this - most + 1, this + 1))

    def _series(self, org: str) -> Series:
        counts = self._orgs.others if org == OTHERS else self._orgs.named.get(org)
        return counts.series if counts is not None else Series()

    def _at(self, series: Series, minute: int) -> list[Counted]:
        slot = minute % MOST_MINUTES
        return list(series.at(slot)) if self._minutes[slot] == minute else []
