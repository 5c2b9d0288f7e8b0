"""The one clock. Time is read here and nowhere else; whatever depends on it gets it as an argument."""

from __future__ import annotations

import time

from fsproxy.core.model import Instant

monotonic = time.monotonic
monotonic_ns = time.monotonic_ns
"""For durations, in nanoseconds."""


def now() -> Instant:
    """Return the wall clock's time: Unix time in seconds."""
    return Instant(time.time())  # noqa: TID251 - this is where it is read
