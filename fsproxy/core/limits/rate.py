"""Rate windows: whether one more call fits, and the headers that tell a client about it.

A window is half-open, ``(t - seconds, t]``: two calls exactly ``seconds`` apart are in no window together.
A call passes if, with it, no window **anywhere on the timeline** holds more than its limit (rules.md 2):
calls may come out of order (late uploads, two tabs), so a late call must also fit with later ones.

Times are whole microseconds here. Their differences are exact, so calls keep their distances wherever
a page's clock puts them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import ceil, floor

from fsproxy.core.limits.operations import Spent
from fsproxy.core.settings import Window

CALL_LATENESS_SECONDS = 10 * 60
"""A call that comes later than this is judged by the calls of its own upload alone (rules.md 2)."""
SECOND = 1_000_000
"""Microseconds."""
MOST_STEPS = 32
"""Full windows in a row that are looked at for the moment at which a refused call would pass."""

Limits = tuple[tuple[int, int], ...]
"""Windows: how many calls each may hold, and its length in microseconds."""
Barred = tuple[int, int]
"""The first and the last microsecond of a time in which no further call passes."""


def horizon(windows: Sequence[Window]) -> float:
    """Seconds after which an accepted call cannot share a window with any call still to come."""
    return max((window.seconds for window in windows), default=0.0) + CALL_LATENESS_SECONDS


def microseconds(seconds: float) -> int:
    """Round to whole microseconds. Halves go up, so that times which are apart by whole ones stay so."""
    return floor(seconds * SECOND + 0.5)


def in_microseconds(windows: Sequence[Window]) -> Limits:
    """Return the windows as they are judged by."""
    return tuple([(window.limit, microseconds(window.seconds)) for window in windows])


def decide_call(
    times: Sequence[int], at: int, limits: Limits, known: Barred | None = None, *, waits: bool = True
) -> tuple[Spent, Barred | None]:
    """Return whether a call at ``at`` passes, given the sorted times of the accepted calls.

    A refused call comes with the time around it that is barred. It stays barred until a call is forgotten or
    moved, so the caller may give it as ``known`` for the next call in it. The caller inserts what passed.
    Unless the client ``waits`` for it, the moment at which a refused call would pass is not searched beyond that.

    Cost: a few searches for the latest call. A call among many others looks at rows of calls in turn, and
    skips the more of them the more calls there is still room for, so that filling a window of ``n`` calls in any
    order takes O(n log n) steps.
    """
    barred = known if known is not None else _barred_by(times, at, limits)
    if barred is not None:
        closed = [length for limit, length in limits if limit <= 0]
        if closed:
            # Nothing ever passes: come back when the window has passed is all that can be said.
            return Spent(passed=False, retry_after=max(closed) / SECOND), None
        last, free = _free_after(times, barred[1], limits) if waits else (barred[1], barred[1] + 1)
        return Spent(passed=False, retry_after=(free - at) / SECOND), (barred[0], last)
    place = bisect_right(times, at)
    remaining = -1
    for limit, length in limits:
        left = limit - 1 - place + bisect_right(times, at - length, place - limit if place > limit else 0, place)
        if left < remaining or remaining < 0:
            remaining = left
    return Spent(passed=True, remaining=max(remaining, 0)), None


def _barred_by(times: Sequence[int], at: int, limits: Limits) -> Barred | None:
    """Return the time around ``at`` that one full window bars; None: it fits into all of them."""
    count = len(times)
    for limit, length in limits:
        if limit <= 0:
            return at, at
        if count >= limit:
            row = _full_row(times, at, limit, length)
            if row is not None:
                return times[row + limit - 1] - length + 1, times[row] + length - 1
    return None


def _full_row(times: Sequence[int], at: int, limit: int, length: int) -> int | None:
    """Return the last ``limit`` calls in a row that share a window of this length, ``at`` included; the first's place.

    With ``at``, ``limit + 1`` calls in a row must span the window's length; only rows that hold ``at`` can be
    full because of it, and those lie less than a length before and behind it.
    """
    # All calls of a row are less than a length away from ``at``: that is its last possible place, this its first.
    row = bisect_left(times, at + length) - limit
    first = bisect_right(times, at - length)
    while row >= first:
        end = times[row] + length
        if times[row + limit - 1] < end:
            return row
        # The rows before this one begin no later, so they span the length too as long as they reach ``end``.
        row = bisect_left(times, end, row, row + limit) - limit
    return None


def _free_after(times: Sequence[int], last: int, limits: Limits) -> tuple[int, int]:
    """Return the last barred moment of those that follow ``last`` without a gap, and the first at which a call passes.

    After many windows in a row a moment behind all calls is returned, which is sure to pass and not the first.
    """
    for _ in range(MOST_STEPS):
        more = _barred_by(times, last + 1, limits)
        if more is None:
            return last, last + 1
        last = more[1]
    return last, max(_after_all(times, limit, length) for limit, length in limits)


def _after_all(times: Sequence[int], limit: int, length: int) -> int:
    """Return a moment behind all calls from which on this window has room."""
    return times[-1] if len(times) < limit else max(times[-1], times[-limit] + length)


def retry_after(spent: Spent) -> str:
    """The ``Retry-After`` of a refused call: whole seconds, rounded up, at least 1."""
    return str(max(1, ceil(spent.retry_after)))


def rate_headers(windows: Sequence[Window], spent: Spent) -> tuple[tuple[str, str], ...]:
    """``RateLimit-Policy`` and ``RateLimit`` (the IETF's structured fields), and ``Retry-After`` when refused.

    Each window is a policy named by its length: ``"1s";q=10;w=1, "60s";q=30;w=60``. ``RateLimit`` speaks
    of the one that is tightest: the shortest that can be the reason.
    """
    if not windows:
        return ()
    by_length = sorted(windows, key=lambda window: window.seconds)
    policy = ", ".join(f"{_name(each)};q={each.limit};w={max(1, ceil(each.seconds))}" for each in by_length)
    if spent.passed:
        tightest = next((each for each in by_length if each.limit > spent.remaining), by_length[-1])
        return (("RateLimit-Policy", policy), ("RateLimit", f"{_name(tightest)};r={spent.remaining}"))
    wait = retry_after(spent)
    tightest = next((each for each in by_length if each.seconds >= spent.retry_after), by_length[-1])
    return (
        ("RateLimit-Policy", policy),
        ("RateLimit", f"{_name(tightest)};r=0;t={wait}"),
        ("Retry-After", wait),
    )


def _name(window: Window) -> str:
    return f'"{window.seconds:g}s"'
