"""The CPU time of another process: what its work costs, whatever else the machine does."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable

import pytest

needs_cpu_clock = pytest.mark.skipif(sys.platform != "linux", reason="no clock of another process's CPU time")


def cpu_seconds(pid: int) -> float:
    """Of all threads of the process, since it began."""
    return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3), which Python does not have


async def cheapest(pid: int, work: Callable[[], Awaitable[object]], rounds: int) -> float:
    """The least that the process computed for one ``work``, in seconds; it is asked again and again."""
    costs = []
    for _ in range(rounds):
        before = cpu_seconds(pid)
        await work()
        costs.append(cpu_seconds(pid) - before)
    return min(costs)
