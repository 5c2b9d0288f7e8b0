"""How much a process may write to the shared store under keys that clients choose (rules.md 5)."""

from __future__ import annotations

import structlog

from fsproxy.clock import monotonic

log = structlog.get_logger("fsproxy")


class WriteRate:
    """At most ``per_org`` keys of one org, and ``in_all`` keys, in each second of the clock.

    With the keys' time to live this bounds what one process can leave in the store. Nothing is kept of an org for
    longer than a second, so that clients who choose the orgs' ids fill no memory here.
    """

    def __init__(self, what: str, per_org: int, in_all: int) -> None:
        """``what`` names the keys in the log line, which is written once, and in the metric."""
        self.what = what
        self._per_org = per_org
        self._in_all = in_all
        self._second = 0
        self._written = 0
        self._by_org: dict[str, int] = {}
        self.skipped = 0
        """Keys that were not written, since the start."""

    def clock(self) -> float:
        """Seconds; only differences matter. Tests put their own in its place."""
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
            if not self.skipped:
                log.warning(
                    "more is to be remembered than may be written to the store: this process alone remembers the rest",
                    what=self.what,
                    per_org=self._per_org,
                    in_all=self._in_all,
                )
            self.skipped += wanted - taken
        return taken
