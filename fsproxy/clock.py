"""The one clock. Everything that judges is handed the time; it is read here and nowhere else."""

from __future__ import annotations

import time

from fsproxy.core.model import Instant

monotonic = time.monotonic
monotonic_ns = time.monotonic_ns
"""For durations, in nanoseconds."""


def now() -> Instant:
    """The wall clock: Unix time in seconds."""
    return Instant(time.time())  # noqa: TID251 - this is where it is read
