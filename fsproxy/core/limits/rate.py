"""Rate windows: whether one more call fits, and the headers that report it to a client.

A window is half-open, ``(t - seconds, t]``: two calls exactly ``seconds`` apart share no window. A call passes if,
with it, no window **anywhere on the timeline** holds more than its limit (rules.md 2). Calls may come out of order
(late uploads, two tabs), so a late call must also fit with later ones.

Times are whole microseconds here. Their differences are exact, so calls keep their distances when a page's clock
moves.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import ceil, floor

from fsproxy.core.limits.operations import Spend, Spent
from fsproxy.core.settings import Window

CALL_LATENESS_SECONDS = 10 * 60
"""A call that comes later than this counts only with the calls of its own upload (rules.md 2)."""
SECOND = 1_000_000
"""Microseconds."""
MOST_STEPS = 32
"""Full windows in a row that are searched for the moment at which a refused call would pass."""

Limits = tuple[tuple[int, int], ...]
"""Windows, each with the number of calls that it may hold, and its length in microseconds."""
Barred = tuple[int, int]
"""The first and the last microsecond of a time in which no more calls pass."""


def horizon(windows: Sequence[Window]) -> float:
    """Return the seconds after which an accepted call cannot share a window with any later one."""
    return max((window.seconds for window in windows), default=0.0) + CALL_LATENESS_SECONDS


def by_log(call: Spend) -> tuple[list[Window], list[Window]]:
    """Return the windows of a call that count for its session, and those that count for its page."""
    of_page = [each for each in call.windows if each.per_page and call.of_page]
    return [each for each in call.windows if each not in of_page], of_page


def microseconds(seconds: float) -> int:
    """Return seconds as whole microseconds. Halves are rounded up, so that whole distances stay as they are."""
    return floor(seconds * SECOND + 0.5)


def in_microseconds(windows: Sequence[Window]) -> Limits:
    """Return the windows with their lengths in microseconds."""
    return tuple([(window.limit, microseconds(window.seconds)) for window in windows])


def decide_call(
    times: Sequence[int], at: int, limits: Limits, known: Barred | None = None, *, waits: bool = True
) -> tuple[Spent, Barred | None]:
    """Return whether a call at ``at`` passes, given the sorted times of the accepted calls.

    For a refused call the time around it that is barred is returned as well. It stays barred until a call is forgotten
    or moved, so the caller may pass it as ``known`` with the next call in it. The caller inserts calls that pass.
    Unless the client ``waits``, the moment at which a refused call would pass is not searched beyond the barred time.

    A call later than all others costs a few binary searches. A call among others looks at rows of calls, and skips the
    more of them the more room there is, so that filling a window with ``n`` calls in any order takes O(n log n) steps.
    """
    barred = known if known is not None else _barred_by(times, at, limits)
    if barred is not None:
        closed = [length for limit, length in limits if limit <= 0]
        if closed:
            # No call ever passes. The window's length is the only answer there is.
            return Spent(passed=False, retry_after=max(closed) / SECOND), None
        last, free = _free_after(times, barred[1], limits) if waits else (barred[1], barred[1] + 1)
        return Spent(passed=False, retry_after=(free - at) / SECOND), (barred[0], last)
    place = bisect_right(times, at)
    remaining = -1
    # For each window that ends at ``at``: how many calls it has room for after this one.
    for limit, length in limits:
        left = limit - 1 - place + bisect_right(times, at - length, place - limit if place > limit else 0, place)
        if left < remaining or remaining < 0:
            remaining = left
    return Spent(passed=True, remaining=max(remaining, 0)), None


def _barred_by(times: Sequence[int], at: int, limits: Limits) -> Barred | None:
    """Return the time around ``at`` that one full window bars; None: the call fits into all of them."""
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
    """Return the place of the first of ``limit`` calls in a row that share a window with ``at``; None: there are none.

    Of several rows the last one is found. A row and ``at`` share a window if all of them lie within less than the
    window's length. So each call of such a row is less than a length before or after ``at``.
    """
    # The last and the first place where such a row can begin.
    row = bisect_left(times, at + length) - limit
    first = bisect_right(times, at - length)
    while row >= first:
        end = times[row] + length
        if times[row + limit - 1] < end:
            return row
        # This row spans the whole length. So does every row before it that reaches ``end``: skip those.
        row = bisect_left(times, end, row, row + limit) - limit
    return None


def _free_after(times: Sequence[int], last: int, limits: Limits) -> tuple[int, int]:
    """Return the last moment of the barred time that goes on after ``last``, and a moment at which a call passes.

    That is the first such moment; but after many full windows in a row, a moment after all calls, which surely passes.
    """
    for _ in range(MOST_STEPS):
        more = _barred_by(times, last + 1, limits)
        if more is None:
            return last, last + 1
        last = more[1]
    return last, max(_after_all(times, limit, length) for limit, length in limits)


def _after_all(times: Sequence[int], limit: int, length: int) -> int:
    """Return a moment not before any call, from which on this window has room."""
    return times[-1] if len(times) < limit else max(times[-1], times[-limit] + length)


def retry_after(spent: Spent) -> str:
    """Return the ``Retry-After`` of a refused call: whole seconds, rounded up, at least 1."""
    return str(max(1, ceil(spent.retry_after)))


def rate_headers(windows: Sequence[Window], spent: Spent) -> tuple[tuple[str, str], ...]:
    """Return ``RateLimit-Policy`` and ``RateLimit`` (the IETF's structured fields), and ``Retry-After`` if refused.

    Each window is a policy with its length as its name: ``"1s";q=10;w=1, "60s";q=30;w=60``. ``RateLimit`` is about
    the tightest one: the shortest that can be the reason.
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
