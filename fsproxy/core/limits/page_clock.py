"""A page's own clock: when the calls of an upload were made, whatever the client's clock says (rules.md 2).

Events carry milliseconds since the page's start. The offset that makes them a time of ours is fixed at
the page's first upload and kept by the shell, so late, joint or unordered bundles keep their distances.
No offset that an upload suggests is too early: its last event was made before it arrived. So the smallest
one is the best, and the page's clock only ever moves back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from fsproxy.core.model import Instant

PLAUSIBLE_AGE_SECONDS = 10 * 60
"""The last event of a first upload is younger than this, or the client's two times are not believed."""
MOST_MOVED_SECONDS = 10 * 60
"""A page's clock moves back by no more than this, all moves together."""
MOST_WHEN = 1e12
"""Milliseconds, 30 years: no page is so old, and what is larger is taken for no time."""


class PageClock(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a page."""

    offset: float
    """Unix seconds of the page's start by our clock."""
    earliest: float
    """The offset never becomes smaller than this."""


class CallClock(msgspec.Struct, frozen=True, gc=False):
    """How the calls of one body are dated."""

    now: Instant
    """The body's arrival. A call without a time of its own was made then."""
    offset: float | None = None
    """Of the page's clock, or of the upload alone; None: all calls were made when they arrived."""
    page: str = ""
    """The page whose clock it is; "" where the offset is the upload's alone."""

    def at(self, when: float | None) -> Instant | None:
        """Return the time of a call, ``when`` milliseconds after the page's start; None: it has no time of its own."""
        if self.offset is None or when is None or not abs(when) <= MOST_WHEN:
            return None
        return Instant(self.offset + when / 1000)


def page_offset(arrival: Instant, client_time: float | None, page_start: float | None, largest_when: float) -> float:
    """Return the Unix seconds of the page's start by our clock, from its first upload.

    ``client_time`` and ``page_start`` are the query's, in milliseconds of the client's clock; only their
    difference matters. ``largest_when`` is the upload's last event in milliseconds since the page's start.
    """
    if client_time is not None and page_start is not None:
        running = client_time - page_start
        if 0 <= running - largest_when <= PLAUSIBLE_AGE_SECONDS * 1000:
            return arrival - running / 1000
    return arrival - largest_when / 1000


def first_clock(offset: float) -> PageClock:
    """Return the clock of a page whose first upload suggests this offset."""
    return PageClock(offset, offset - MOST_MOVED_SECONDS)


def moved_back(clock: PageClock, latest: float) -> PageClock:
    """Return the clock after an upload that suggests no later offset than ``latest``."""
    if latest >= clock.offset or clock.offset <= clock.earliest:
        return clock
    return PageClock(max(latest, clock.earliest), clock.earliest)


def call_clock(page: str, clock: PageClock, latest: float, now: Instant) -> CallClock:
    """Return how the calls of an upload are dated, once the page's clock has moved as far as it may.

    An upload that would still lie in the future is dated by its arrival, as a whole.
    """
    return CallClock(now, clock.offset, page) if clock.offset <= latest else CallClock(now, latest)


def largest_of(whens: Iterable[float | None], last: float | None) -> float | None:
    """Return the largest ``When`` of an upload: of its calls and its last event. None: it has no credible one."""
    return max((when for when in (*whens, last) if when is not None and abs(when) <= MOST_WHEN), default=None)


_TAIL = 1024
"""Bytes at a bundle's end in which its last event stands; events come in the order of their time."""
_MEMBER = b'"When"'
_WHEN = re.compile(rb'"When"[ \t\r\n]*:[ \t\r\n]*(-?[0-9]{1,15}(?:\.[0-9]{1,9})?)')


def last_when(body: bytes) -> float | None:
    """Return the ``When`` of a bundle's last event, in milliseconds since the page's start.

    None: none stands near its end. An event's own ``When`` follows what else is in it, so the last one is no other.
    It is found by its name, without reading events.
    """
    at = body.rfind(_MEMBER, -_TAIL)
    found = _WHEN.match(body, at) if at >= 0 else None
    return float(found[1]) if found is not None else None
