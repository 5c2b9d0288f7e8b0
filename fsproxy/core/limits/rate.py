"""Rate windows: whether one more call fits, and the headers that tell a client about it.

A window is half-open, ``(t - seconds, t]``: two calls exactly ``seconds`` apart are in no window together.
A call passes if, with it, no window **anywhere on the timeline** holds more than its limit (rules.md 2):
calls may come out of order (late uploads, two tabs), so a late call must also fit with later ones.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import ceil, inf, nextafter

from fsproxy.core.limits.operations import Spent
from fsproxy.core.model import Instant
from fsproxy.core.settings import Window

CALL_LATENESS_SECONDS = 5 * 60
"""A call's time is never further back than this (rules.md 2): older calls need not be kept for a window."""


def horizon(windows: Sequence[Window]) -> float:
    """Seconds after which an accepted call cannot share a window with any call still to come."""
    return max((window.seconds for window in windows), default=0.0) + CALL_LATENESS_SECONDS


def judge_call(times: Sequence[float], at: Instant, windows: Sequence[Window]) -> Spent:
    """Whether a call at ``at`` passes, given the sorted times of the calls accepted so far.

    Cost: constant for the latest call, else proportional to the limits. The caller inserts what passed.
    """
    if not times and windows and (fewest := min([window.limit for window in windows])) > 0:
        return Spent(passed=True, remaining=fewest - 1)
    place = bisect_right(times, at)
    remaining = -1
    for window in windows:
        if _free_from(times, at, place, window) > at:
            return Spent(passed=False, retry_after=_next_free(times, at, windows) - at)
        left = window.limit - 1 - _before(times, at, place, window)
        if left < remaining or remaining < 0:
            remaining = left
    return Spent(passed=True, remaining=max(remaining, 0))


def _before(times: Sequence[float], at: float, place: int, window: Window) -> int:
    """How many calls share with ``at`` the window that ends in it."""
    return place - bisect_right(times, at - window.seconds, max(place - window.limit, 0), place)


def _free_from(times: Sequence[float], at: float, place: int, window: Window) -> float:
    """``at``, if it fits into this window; else the earliest moment at which it might.

    With ``at`` at ``place``, ``limit + 1`` calls in a row must span the window's length; only the rows
    that hold ``at`` can have changed. The subtraction of two close floats is exact, so no epsilon.
    """
    limit = window.limit
    if limit <= 0:
        return inf
    # The last row that breaks the limit needs the longest wait, so start with it.
    for first in range(min(place, len(times) - limit), max(place - limit, 0) - 1, -1):
        # The row without ``at`` is times[first : first + limit].
        earliest = min(times[first], at)
        latest = max(times[first + limit - 1], at)
        if latest - earliest < window.seconds:
            # It fits once the first of these is a whole length behind it.
            return max(times[first] + window.seconds, nextafter(at, inf))
    return at


def _next_free(times: Sequence[float], at: float, windows: Sequence[Window]) -> float:
    """The earliest moment from ``at`` on that fits into every window."""
    closed = max((window.seconds for window in windows if window.limit <= 0), default=0.0)
    if closed:
        # Nothing ever passes: come back when the window has passed is all that can be said.
        return at + closed
    while True:
        place = bisect_right(times, at)
        free = max(_free_from(times, at, place, window) for window in windows)
        if free <= at:
            return at
        at = free


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
