"""What a process costs, as the kernel counts it: CPU time and memory of a whole process group (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


def members(group: int) -> list[int]:
    """The processes of a group."""
    found = []
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                after_name = (folder / "stat").read_text().rpartition(") ")[2].split()
            except OSError:
                continue  # it has just ended
            if int(after_name[2]) == group:
                found.append(int(folder.name))
    return found


def cpu_ns(pids: list[int]) -> int:
    """CPU time of all threads of these processes, user and system, in nanoseconds."""
    return sum(_cpu_ns(pid) for pid in pids)


def _cpu_ns(pid: int) -> int:
    try:
        # schedstat counts nanoseconds; stat only clock ticks, but those of ended threads too.
        return sum(int((task / "schedstat").read_text().split()[0]) for task in (PROC / str(pid) / "task").iterdir())
    except OSError:
        return _cpu_by_ticks(pid)


def _cpu_by_ticks(pid: int) -> int:
    try:
        after_name = (PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0
    return (int(after_name[11]) + int(after_name[12])) * 1_000_000_000 // TICKS


def peak_rss(pids: list[int]) -> int:
    """The most memory these processes have had, in bytes."""
    return sum(_status_kb(pid, "VmHWM:") for pid in pids) * 1024


def rss(pids: list[int]) -> int:
    """The memory these processes have now, in bytes."""
    return sum(_status_kb(pid, "VmRSS:") for pid in pids) * 1024


def _status_kb(pid: int, key: str) -> int:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(key)), 0)


@cache
def cores() -> tuple[int, int]:
    """The core of the peers and that of the load; the same one where there is only one.

    Of those that this process had when it asked first: the load is pinned to its own before peers are started.
    """
    mine = sorted(os.sched_getaffinity(0))
    return mine[0], mine[-1]


@contextmanager
def pinned(*core: int) -> Iterator[None]:
    """What is started inside runs on these cores alone, with all of its threads and children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
