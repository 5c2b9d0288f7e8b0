"""A page's own clock: when the calls of an upload were made, whatever the client's clock shows (rules.md 2).

Events carry ``When``, milliseconds since the page's start. The page's offset is our time of that start, so a call was
made at ``offset + When``. The page's first upload fixes the offset, and the caller keeps it: so calls keep their
true distances when bundles come late, together, or out of order.

Each upload suggests an offset: its arrival minus its largest ``When``. The true offset cannot be later, because the
last event was made before the upload arrived; it is earlier if the upload was held up. So the earliest suggestion is
the best one, and a page's clock only moves back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from fsproxy.core.model import Instant

PLAUSIBLE_AGE_SECONDS = 10 * 60
"""If the client's two times make the last event of a first upload older than this, they are not believed."""
MOST_MOVED_SECONDS = 10 * 60
"""All moves of a page's clock together move it back by at most this."""
MOST_WHEN = 1e12
"""Milliseconds, 30 years. No page is so old, so a larger ``When`` counts as none."""


class PageClock(msgspec.Struct, frozen=True, gc=False):
    """The clock of a page, as it is kept."""

    offset: float
    """The page's start in Unix seconds, by our clock."""
    earliest: float
    """The offset never becomes smaller than this."""


class CallClock(msgspec.Struct, frozen=True, gc=False):
    """Gives the times of the calls of one body."""

    now: Instant
    """The body's arrival, which is the time of every call without a time of its own."""
    offset: float | None = None
    """Of the page's clock, or of this upload alone; None: the time of all calls is their arrival."""
    page: str = ""
    """The page whose clock it is; "" if the offset is this upload's alone."""

    def at(self, when: float | None) -> Instant | None:
        """Return the time of a call, ``when`` milliseconds after the page's start; None: it has no time of its own."""
        if self.offset is None or when is None or not abs(when) <= MOST_WHEN:
            return None
        return Instant(self.offset + when / 1000)


def page_offset(arrival: Instant, client_time: float | None, page_start: float | None, largest_when: float) -> float:
    """Return the offset that a page's first upload gives: its start in Unix seconds, by our clock.

    ``client_time`` and ``page_start`` are the query's, in milliseconds of the client's clock. Only their difference
    matters: how long the page had been running when the client sent. It is used if the last event, ``largest_when``
    milliseconds after the page's start, is then 0 to 10 minutes old; else the last event counts as made on arrival.
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
    """Return the clock after an upload that suggests the offset ``latest``; the same object if it does not move."""
    if latest >= clock.offset or clock.offset <= clock.earliest:
        return clock
    return PageClock(max(latest, clock.earliest), clock.earliest)


def call_clock(page: str, clock: PageClock, latest: float, now: Instant) -> CallClock:
    """Return the call clock of an upload, once the page's clock has moved as far as it may.

    An upload that the page's clock would still put into the future gets its times from its arrival, as a whole.
    """
    return CallClock(now, clock.offset, page) if clock.offset <= latest else CallClock(now, latest)


def largest_of(whens: Iterable[float | None], last: float | None) -> float | None:
    """Return the largest credible ``When`` of an upload's calls and its last event, which is; None if there is none."""
    largest = last
    for when in whens:
        if when is not None and (largest is None or when > largest) and -MOST_WHEN <= when <= MOST_WHEN:
            largest = when
    return largest


_TAIL = 1024
"""Bytes at a bundle's end that are searched for the ``When`` of its last event, which is the latest one."""
_MEMBER = b'"When"'
_WHEN = re.compile(rb'"When"[ \t\r\n]*:[ \t\r\n]*(-?[0-9]{1,15}(?:\.[0-9]{1,9})?)')


def last_when(body: bytes) -> float | None:
    """Return the ``When`` of a bundle's last event, in milliseconds since the page's start.

    None: none near the end is credible. An event's own ``When`` follows its other members, so the
    last ``"When"`` in the text is the one. It is found by its name alone, without reading events.
    """
    at = body.rfind(_MEMBER, -_TAIL)
    found = _WHEN.match(body, at) if at >= 0 else None
    if found is None:
        return None
    when = float(found[1])
    return when if -MOST_WHEN <= when <= MOST_WHEN else None
