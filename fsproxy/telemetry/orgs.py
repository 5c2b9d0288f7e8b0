"""What is counted of each org's requests: how they ended, its sessions, and its bytes.

At most ``MOST_ORGS`` are counted by name. Listed orgs come first, as clients choose the ids of all others; an org that
is not listed and sent nothing for an hour makes room for a new one. What finds no room is counted as ``OTHERS``.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator

from fsproxy.core.audit.record import Ended, Outcome
from fsproxy.core.reasons import ReasonCode

MOST_ORGS = 200
OTHERS = "(others)"
MOST_MINUTES = 1_440
IDLE_MINUTES = 60
End = Outcome | ReasonCode | str


class Series:
    """Counts by minute of the last day: how requests ended, pages apart. An end that occurs takes 6 KB."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[tuple[bool, End], array[int]] = {}

    def add(self, slot: int, end: tuple[bool, End], count: int) -> None:
        """Count requests in the minute of a slot. ``end``: whether they are pages, and how they ended."""
        counts = self._counts.get(end)
        if counts is None:
            counts = self._counts[end] = array("I", bytes(4 * MOST_MINUTES))
        counts[slot] += count

    def clear(self, slot: int) -> None:
        """Forget a minute."""
        for counts in self._counts.values():
            counts[slot] = 0

    def at(self, slot: int) -> Iterator[tuple[bool, End, int]]:
        """Yield what was counted in a minute. It may run in another thread."""
        for (page, end), counts in list(self._counts.items()):
            if counts[slot]:
                yield page, end, counts[slot]


class OrgCounts:
    """The counts of one org, since it was first seen."""

    __slots__ = ("before", "cut", "cut_before", "down", "ended", "last", "listed", "series", "sessions", "up")

    def __init__(self, *, listed: bool = True) -> None:
        self.ended: Counter[Ended] = Counter()
        self.sessions = 0
        """New sessions that are captured."""
        self.up = self.down = 0
        """Bytes of bodies that went up, as they came from clients, and of the upstream's answers."""
        self.cut = self.cut_before = 0
        """Requests of which a part was rejected; and how many as of when they were last added to the series."""
        self.listed = listed
        self.series = Series()
        self.before: Counter[Ended] = Counter()
        """``ended`` as of when it was last added to the series."""
        self.last = 0
        """The last minute with a request (Unix time by 60)."""


class Orgs:
    """The counts of all orgs. Counted on the event loop; read from any thread."""

    def __init__(self) -> None:
        self.others = OrgCounts()
        self.named: dict[str | None, OrgCounts] = {None: OrgCounts()}
        """By org; None: requests that name none."""
        self.gone: Counter[Ended] = Counter()
        """Of orgs that made room."""
        self._unlisted = 0

    def admit(self, org: str, *, listed: bool) -> OrgCounts:
        """Return where a new org is counted."""
        if len(self.named) > MOST_ORGS and not (listed and self._unlisted and self._drop_smallest()):
            return self.others
        self._unlisted += not listed
        counts = self.named[org] = OrgCounts(listed=listed)
        return counts

    def every(self) -> list[OrgCounts]:
        """Return the counts of all."""
        return [*self.named.values(), self.others]

    def by_label(self) -> Iterator[tuple[str, OrgCounts]]:
        """Yield each org that has a name, in the order of their first requests, then the others if there are any."""
        for org, counts in list(self.named.items()):
            if org is not None:
                yield org, counts
        if self.others.ended:
            yield OTHERS, self.others

    def ended(self) -> Counter[Ended]:
        """Return how all requests ended."""
        found = Counter(self.gone)
        for counts in self.every():
            for how, count in list(counts.ended.items()):
                found[how] += count
        return found

    def make_room(self, minute: int) -> None:
        """Drop orgs that are idle, if there is no room. ``minute``: the present one."""
        if len(self.named) <= MOST_ORGS:
            return
        for org, counts in list(self.named.items()):
            if org is not None and not counts.listed and minute - counts.last > IDLE_MINUTES:
                self._drop(org)

    def _drop_smallest(self) -> bool:
        unlisted = [(org, counts) for org, counts in self.named.items() if org is not None and not counts.listed]
        self._drop(min(unlisted, key=lambda each: each[1].ended.total())[0])
        return True

    def _drop(self, org: str) -> None:
        self.gone.update(self.named.pop(org).ended)
        self._unlisted -= 1
