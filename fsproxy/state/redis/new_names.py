"""How many new names a process lets the shared store keep (rules.md 5)."""

from __future__ import annotations

from collections import OrderedDict

import structlog

from fsproxy.clock import monotonic

PER_SECOND = 200
"""New names in the long run: of orgs that the store has known for an hour, and as many of all others.

A name takes about 100 bytes, and of an org that is new it is kept for two hours: 150 MB, for each process."""
BURST = 20_000
"""New names at once: three times what one org may have."""
OLD_SECONDS = 3_600.0
_MOST_OLD = 10_000
log = structlog.get_logger("fsproxy")


class NewNames:
    """Counts the names that were new to the store. Over the rate, claims are not sent, and pass.

    Clients choose the ids of orgs. A flood of orgs that nobody knew before must not take their names from those that
    were there before it: these have an allowance of their own.
    """

    what = "names"

    def __init__(self) -> None:
        # Of young orgs, and of old ones: what is left, and when that was counted.
        self._left = [float(BURST), float(BURST)]
        self._since = [self.clock(), self.clock()]
        self._old: OrderedDict[str, None] = OrderedDict()
        self.skipped = 0
        """Claims that were not sent, since the start."""

    def clock(self) -> float:
        """Seconds; only differences matter. Tests put their own in its place."""
        return monotonic()

    def has_room(self, org: str) -> bool:
        """Whether a claim of this org is to be sent; one that is not counts as skipped."""
        which, now = int(org in self._old), self.clock()
        self._left[which] = min(BURST, self._left[which] + (now - self._since[which]) * PER_SECOND)
        self._since[which] = now
        if self._left[which] > 0:
            return True
        if not self.skipped:
            log.warning(
                "more names are new than the store is to keep: until they are fewer, names are not limited",
                per_second=PER_SECOND,
            )
        self.skipped += 1
        return False

    def learn(self, org: str, new: int, age: float) -> None:
        """So many names of a claim were new to the store, which has known the org for ``age`` seconds.

        One claim may take more than is left; the next ones wait until that is made up for.
        """
        if age >= OLD_SECONDS:
            self._old[org] = None
            self._old.move_to_end(org)
            if len(self._old) > _MOST_OLD:
                self._old.popitem(last=False)
        self._left[org in self._old] -= new
