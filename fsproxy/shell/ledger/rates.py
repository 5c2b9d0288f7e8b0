"""The calls that each session has made, as long as a window can still hold them (rules.md 2)."""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort_right

from fsproxy.core.limits.operations import RateKind, Spend, Spent
from fsproxy.core.limits.rate import horizon, judge_call
from fsproxy.core.model import Instant
from fsproxy.core.settings import Window
from fsproxy.shell.ledger.aging import AgingTable
from fsproxy.shell.ledger.keys import KeyKind, key_of

_KINDS = {RateKind.EVENT: KeyKind.EVENT_RATE, RateKind.USER: KeyKind.USER_RATE}
_SLICE = 30.0


class Rates:
    """Sorted times of accepted calls by org, session and kind; at most ``bound`` sessions and kinds.

    Times older than the longest window plus 5 minutes go, and with the last one the session.
    """

    def __init__(self, bound: int) -> None:
        self.calls: AgingTable[array[float]] = AgingTable(bound, horizon(()), _SLICE, _last_call)
        # The windows of the last call, which are mostly the next one's, and how long they need its time.
        self._windows: tuple[Window, ...] = ()
        self._kept = horizon(())
        self._last: tuple[str, str, RateKind, int] = ("", "", RateKind.EVENT, 0)

    def spend(self, op: Spend, now: Instant) -> Spent:
        """See ``Spend``."""
        windows = op.windows
        if windows is not self._windows:
            self._windows = windows
            self._kept = horizon(windows)
            self.calls.idle = max(self.calls.idle, self._kept)
        kept = self._kept
        self.calls.sweep(now)
        key = self._key_of(op)
        times = self.calls.get(key)
        if times and times[0] <= now - kept:
            del times[: bisect_left(times, now - kept)]
        spent = judge_call(times or (), op.at, windows)
        if spent.passed and windows:
            if times is None:
                self.calls.put(key, array("d", (op.at,)))
            elif not times or op.at >= times[-1]:
                times.append(op.at)
            else:
                insort_right(times, op.at)
        return spent

    def _key_of(self, op: Spend) -> int:
        # The calls of one upload come one after another.
        org, session, kind, key = self._last
        if session == op.session and kind is op.kind and org == op.org and key:
            return key
        key = key_of(_KINDS[op.kind], op.org, op.session)
        self._last = (op.org, op.session, op.kind, key)
        return key


def _last_call(times: array[float]) -> float:
    return times[-1] if times else float("-inf")
