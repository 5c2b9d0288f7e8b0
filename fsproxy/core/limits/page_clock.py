"""A page's own clock: when the calls of an upload were made, whatever the client's clock says (rules.md 2).

Events carry milliseconds since the page's start. The offset that makes them a time of ours is fixed at
the page's first upload and kept by the shell, so late, joint or unordered bundles keep their distances.
"""

from __future__ import annotations

import re
from math import isfinite

from fsproxy.core.limits.rate import CALL_LATENESS_SECONDS
from fsproxy.core.model import Instant

PLAUSIBLE_AGE_SECONDS = 10 * 60
"""The last event of a first upload is younger than this, or the client's two times are not believed."""


def page_offset(
    arrival: Instant, client_time: float | None, page_start: float | None, largest_when: float | None
) -> float:
    """Unix seconds of the page's start by our clock, from its first upload.

    ``client_time`` and ``page_start`` are the query's, in milliseconds of the client's clock; only their
    difference matters. ``largest_when`` is the upload's last event in milliseconds since the page's start;
    None (or no finite number) where the upload has none: it counts as 0.
    """
    last = largest_when if largest_when is not None and isfinite(largest_when) else 0.0
    if client_time is not None and page_start is not None:
        running = client_time - page_start
        if 0 <= running - last <= PLAUSIBLE_AGE_SECONDS * 1000:
            return arrival - running / 1000
    return arrival - last / 1000


def call_time(offset: float, when: float | None, now: Instant) -> Instant:
    """When a call was made: never later than ``now``, never more than 5 minutes back.

    ``when`` is in milliseconds since the page's start. A call without one, or with one that is no finite
    number, was made now.
    """
    if when is None:
        return now
    at = offset + when / 1000
    if at >= now or not isfinite(at):
        return now
    return Instant(max(at, now - CALL_LATENESS_SECONDS))


_TAIL = 1024
"""Bytes at a bundle's end in which its last events stand; events come in the order of their time."""
_WHEN = re.compile(rb'"When"[ \t\r\n]*:[ \t\r\n]*(-?[0-9]{1,15}(?:\.[0-9]{1,9})?)')


def largest_when(body: bytes) -> float | None:
    """The largest ``When`` of a bundle's events, in milliseconds since the page's start; None without any.

    Found by its name, not by reading events: a text that only looks like one moves a clock that nobody
    relies on, as the client could as well have sent it as a number.
    """
    # One by one: a thread that looks through a large body gives the interpreter back in between.
    return max((float(found[1]) for found in _WHEN.finditer(body)), default=None)


def last_when(body: bytes) -> float | None:
    """As ``largest_when``, of a bundle without calls: its last events tell, and nobody reads the others."""
    found = largest_when(body[-_TAIL:])
    return found if found is not None else largest_when(body)
