"""The one clock. Time is read here and nowhere else; whatever depends on it gets it as an argument."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

from fsproxy.core.model import Instant

monotonic = time.monotonic
monotonic_ns = time.monotonic_ns
"""For durations, in nanoseconds."""
now = cast("Callable[[], Instant]", time.time)  # noqa: TID251 - this is where it is read
"""The wall clock's time: Unix time in seconds."""
