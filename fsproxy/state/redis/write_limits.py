"""How much a process may write to the shared store under keys that clients choose (rules.md 5)."""

from __future__ import annotations

from collections import OrderedDict

from fsproxy.clock import monotonic
from fsproxy.state.memory.bounded_table import BoundedTable
from fsproxy.state.memory.keys import PAGE, key_of

WARN_SHARE = 0.8
"""Of the store's memory: from here on, it is nearly full."""
FULL_SHARE = 0.9
"""From here on, nothing is written any more that is only remembered."""
ID_WRITES = (250, 500)
"""Ids of sessions and users, unknown to this process, that it marks in a second: of one org, and of all.

Clients choose them. A key takes about 160 bytes for 30 minutes: 140 MB of all, for each process (rules.md 5)."""
PAGE_NAME_WRITES = (150, 300)
"""Pages that begin to have their names counted, in the same way. A page with 50 names takes about 300 bytes for 15
minutes: 80 MB of all."""
NEW_NAMES_PER_SECOND = 200
"""New names in the long run: of orgs that the store has known for an hour, and as many of all others.

A name takes about 100 bytes, and of an org that is new it is kept for two hours: 150 MB, for each process."""
NEW_NAMES_BURST = 20_000
"""New names at once: three times what one org may have."""
OLD_ORG_SECONDS = 3_600.0
_MOST_OLD_ORGS = 10_000
_MOST_PAGES = 200_000


class WriteRate:
    """At most ``per_org`` keys of one org, and ``in_all`` keys, in each second of the clock.

    With the keys' time to live this bounds what one process can leave in the store. Nothing is kept of an org for
    longer than a second, so that clients who choose the orgs' ids fill no memory here.
    """

    def __init__(self, what: str, per_org: int, in_all: int) -> None:
        """Limit writes. ``what`` names the keys in the metric and for people."""
        self.what = what
        self._per_org = per_org
        self._in_all = in_all
        self._second = 0
        self._written = 0
        self._by_org: dict[str, int] = {}
        self.skipped = 0
        """Keys that were not written, since the start."""

    def clock(self) -> float:
        """Return seconds of which only differences matter. Tests put their own in its place."""
        return monotonic()

    def take(self, org: str, wanted: int) -> int:
        """Return how many of so many keys may be written now; the others count as skipped."""
        second = int(self.clock())
        if second != self._second:
            self._second, self._written = second, 0
            self._by_org.clear()
        used = self._by_org.get(org, 0)
        taken = max(0, min(wanted, self._per_org - used, self._in_all - self._written))
        if taken:
            self._by_org[org] = used + taken
            self._written += taken
        if taken < wanted:
            self.skipped += wanted - taken
        return taken


class NewPages(WriteRate):
    """Pages whose names are counted in the store. One that was counted within ``seconds`` takes nothing of the rate."""

    def __init__(self, what: str, per_org: int, in_all: int, seconds: float) -> None:
        super().__init__(what, per_org, in_all)
        self._seconds = seconds
        self._known: BoundedTable[int, bool] = BoundedTable(_MOST_PAGES)

    def take_page(self, org: str, page: str) -> bool:
        """Return whether the page's names may be counted now."""
        key = key_of(PAGE, org, page)
        if self._known.find(key) is None and not self.take(org, 1):
            return False
        self._known.put(key, True, self._seconds)
        return True


class NewNames:
    """Counts the names that were new to the store. Over the rate, claims are not sent, and pass.

    Clients choose the ids of orgs. A flood of new orgs must not take their names from the orgs that were there before,
    so these have an allowance of their own.
    """

    what = "names"

    def __init__(self) -> None:
        # Of new orgs, and of old ones: what is left, and when that was counted.
        self._left = [float(NEW_NAMES_BURST), float(NEW_NAMES_BURST)]
        self._since = [self.clock(), self.clock()]
        self._old: OrderedDict[str, None] = OrderedDict()
        self.skipped = 0
        """Claims that were not sent, since the start."""

    def clock(self) -> float:
        """Return seconds of which only differences matter. Tests put their own in its place."""
        return monotonic()

    def has_room(self, org: str) -> bool:
        """Return whether a claim of this org may be sent; one that may not counts as skipped."""
        which, now = int(org in self._old), self.clock()
        grown = (now - self._since[which]) * NEW_NAMES_PER_SECOND
        self._left[which] = min(NEW_NAMES_BURST, self._left[which] + grown)
        self._since[which] = now
        if self._left[which] > 0:
            return True
        self.skipped += 1
        return False

    def learn(self, org: str, new: int, age: float) -> None:
        """Take off the names of a claim that were new to the store, which has known the org for ``age`` seconds.

        One claim may take more than is left; the next ones wait until that is made up for.
        """
        if age >= OLD_ORG_SECONDS:
            self._old[org] = None
            self._old.move_to_end(org)
            if len(self._old) > _MOST_OLD_ORGS:
                self._old.popitem(last=False)
        self._left[org in self._old] -= new
