"""The counted calls of one session and kind, in the order of their time (rules.md 2).

The windows slide exactly: a call passes if, with it, no window anywhere on the timeline holds more than its limit. So
the log keeps every call's time, sorted; ``core.limits.rate`` finds the full windows around a new one by
binary search. Two things make it cheap and right where calls come late, out of order, or twice:

- Calls are tied to their page. A page's calls know their distances exactly (``When``), but the moment at which the page
  began is only estimated, and the estimate moves back when an upload shows that it was too late. Then all calls of
  that page move together, and the sorted times are merged anew.
- Spans in which no call can pass are remembered (``_barred``), so that a client over its limit costs a look-up a call.
  They hold until a call is forgotten or moved; another accepted call only makes windows fuller.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from itertools import repeat
from operator import sub

from fsproxy.core.limits.operations import Spend, Spent
from fsproxy.core.limits.rate import SECOND, Barred, Limits, decide_call, microseconds

FEW_PAGES = 8
"""A log with more pages than this drops those that no call is left of."""
FEW_CALLS = 10_000
"""So many calls are kept in any case; beyond that, twice the largest limit."""
MOST_EQUALS = 64
"""Calls of the same microsecond that are looked through for a repeat."""
_NO_PAGE = -1
MARK_BITS = 32
_MARK_MASK = (1 << MARK_BITS) - 1


class CallLog:
    """Sorted times in microseconds, and beside each a tag.

    A tag is the place of the call's page among ``_pages``, shifted by 32 bits, and the call's mark; or -1 for a call
    without a page.
    """

    __slots__ = ("_barred", "_pages", "_tags", "last_upload", "times")

    def __init__(self) -> None:
        self.times = array("q")
        self._tags = array("q")
        # A page's key, and the microsecond in which it began, one after the other.
        self._pages = array("q")
        # First and last microseconds of spans in which no call passes, apart and in order, as far as they are known.
        self._barred: tuple[list[int], list[int]] | None = None
        self.last_upload = 0.0
        """Unix seconds of the last upload that called."""

    def forget(self, before: float, now: float) -> None:
        """Drop the calls that no window can hold any more: those before ``before``.

        Calls of one upload share their ``now``, and nothing is dropped between them: a very late upload is validated by
        its own calls.
        """
        if now == self.last_upload:
            return
        self.last_upload = now
        times, limit = self.times, before * SECOND
        if not times or times[0] > limit:
            return
        gone = bisect_left(times, limit)
        del times[:gone], self._tags[:gone]
        self._barred = None
        if not times:
            self._pages = array("q")
        elif len(self._pages) > 2 * FEW_PAGES:
            self._drop_pages()

    def spend(self, op: Spend, page: int, limits: Limits, also: Callable[[], Spent] | None = None) -> Spent:
        """Return whether a call passes, and count it if it does.

        ``page`` is the key of the operation's page, or 0; ``limits`` are the operation's windows. ``also`` is asked
        once this log has room, before the call counts here: a call that one log refuses counts in none.
        """
        slot, at, offset = _NO_PAGE, microseconds(op.at), 0
        if page:
            # The page's known offset decides on the time; an earlier one moves the page's calls first.
            when = microseconds(op.when / 1000)
            offset = at - when
            slot = self._slot_of(page) if self._pages else _NO_PAGE
            if slot >= 0:
                if offset < self._pages[2 * slot + 1]:
                    self._move(slot, offset)
                at = self._pages[2 * slot + 1] + when
        times = self.times
        place = len(times) if not times or at >= times[-1] else bisect_right(times, at)
        if slot >= 0 and op.mark and self._is_counted(place, at, slot << MARK_BITS | op.mark):
            return Spent(passed=True)
        known = self._known_barred(at) if self._barred is not None else None
        spent, barred = decide_call(times, at, limits, known, waits=not page)
        if also is not None and spent.passed:
            spent = _both(spent, also())
        if not spent.passed:
            if barred is not None and barred != known:
                self._bar(*barred)
            return spent
        if page and slot < 0:
            slot = len(self._pages) // 2
            self._pages.extend((page, offset))
        times.insert(place, at)
        self._tags.insert(place, slot << MARK_BITS | op.mark if slot >= 0 else _NO_PAGE)
        if len(times) > FEW_CALLS:
            self._bound(limits)
        return spent

    def move(self, page: int, began: float) -> None:
        """Move a page's calls back, if its clock says that it began earlier."""
        slot = self._slot_of(page)
        if slot >= 0 and microseconds(began) < self._pages[2 * slot + 1]:
            self._move(slot, microseconds(began))

    def _slot_of(self, page: int) -> int:
        for place in range(0, len(self._pages), 2):
            if self._pages[place] == page:
                return place // 2
        return _NO_PAGE

    def _move(self, slot: int, offset: int) -> None:
        back = self._pages[2 * slot + 1] - offset
        self._pages[2 * slot + 1] = offset
        self._barred = None
        if len(self._pages) == 2 and _NO_PAGE not in self._tags:
            # One page has all the calls, so their order stays.
            self.times = array("q", map(sub, self.times, repeat(back)))
            return
        calls = sorted(
            (time - back if tag >> MARK_BITS == slot else time, tag)
            for time, tag in zip(self.times, self._tags, strict=True)
        )
        self.times = array("q", [time for time, _ in calls])
        self._tags = array("q", [tag for _, tag in calls])

    def _is_counted(self, place: int, at: int, tag: int) -> bool:
        """Return whether the same call of the same page is counted: it is among those of its microsecond."""
        for index in range(place - 1, max(place - 1 - MOST_EQUALS, -1), -1):
            if self.times[index] != at:
                return False
            if self._tags[index] == tag:
                return True
        return False

    def _bound(self, limits: Limits) -> None:
        """Keep memory within what the next call in order needs. A late call may find its windows emptier for that."""
        most = max(2 * max(limit for limit, _ in limits), FEW_CALLS)
        if len(self.times) > most:
            del self.times[: most // 4], self._tags[: most // 4]
            self._barred = None

    def _drop_pages(self) -> None:
        """Forget the pages that no call is left of, as clients choose their ids, and number the others anew."""
        used = sorted({tag >> MARK_BITS for tag in self._tags} - {_NO_PAGE})
        place = {slot: index for index, slot in enumerate(used)}
        self._tags = array(
            "q", [t if t == _NO_PAGE else place[t >> MARK_BITS] << MARK_BITS | t & _MARK_MASK for t in self._tags]
        )
        self._pages = array("q", [each for slot in used for each in self._pages[2 * slot : 2 * slot + 2]])

    def _known_barred(self, at: int) -> Barred | None:
        if self._barred is None:
            return None
        firsts, lasts = self._barred
        index = bisect_right(firsts, at) - 1
        return (firsts[index], lasts[index]) if index >= 0 and at <= lasts[index] else None

    def _bar(self, first: int, last: int) -> None:
        """Remember a barred span, as one with those that it touches. Each is as long as a window, so there are few."""
        if self._barred is None:
            self._barred = ([], [])
        firsts, lasts = self._barred
        low, high = bisect_left(lasts, first - 1), bisect_right(firsts, last + 1)
        if low < high:
            first, last = min(first, firsts[low]), max(last, lasts[high - 1])
        firsts[low:high], lasts[low:high] = [first], [last]


def _both(spent: Spent, other: Spent) -> Spent:
    """Return the answer of two logs, the first of which has room."""
    return spent if other.passed and spent.remaining <= other.remaining else other
