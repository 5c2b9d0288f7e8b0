"""What the soak watches of the proxy's process, and when a growth is called a leak: on Linux."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
from typing import Any

import aiohttp

import fsproxy
import process
from support.proxy import RunningProxy

WARM_UP = 0.25
"""The share of the time in which caches fill and the heap finds its size."""
FEWEST_SAMPLES = 40
SHORTEST = 120.0
"""Seconds below which growth of memory says nothing."""
CACHES = ((2_500, 0.15, 1_250), (8_192, 0.35, 270))
"""What fills up once and stays: the last audit lines for the page, and the digests of ids (``key_of``). Of each the most
entries, how many a request of the soak adds, and bytes for each, as ``tracemalloc`` has them."""
MOST_BYTES = 6 * 1024 * 1024
"""Growth of memory after the warm-up, by the fitted line, that is no leak however few requests there were."""
MOST_BYTES_A_REQUEST = 64.0
"""One object that is never freed for each page or upload comes to hundreds."""
MOST_DESCRIPTORS = 24
"""Over the start's, when all visitors have gone: the store's connections, which are opened as they are needed (at most
18) and kept, and the admin port's."""
MOST_TASKS = 8
"""Likewise: the store's link has three, the admin port one a connection, the reloader two."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one process. ``requests``: answered until then; ``remembered``: bytes that are kept on purpose."""

    seconds: float
    requests: int
    rss: int
    remembered: int
    descriptors: int
    threads: int
    tasks: int
    blocks: int
    """Of Python's allocator, in use."""
    used: int
    """Bytes that the C library has handed out."""
    kept: int
    """Bytes that it keeps for later."""


@dataclass
class ProcessWatch:
    """Looks at one process."""

    name: str
    pid: int
    inside: Path
    """What it tells of itself (inside/sitecustomize.py)."""
    share: float
    """Of the requests, and of what is remembered."""
    samples: list[Sample] = field(default_factory=list)

    def look(self, seconds: float, requests: int, remembered: int) -> None:
        """One look, kept."""
        proc, told, own = process.PROC / str(self.pid), self.told(), requests * self.share
        self.samples.append(
            Sample(
                seconds,
                round(own),
                process.rss([self.pid]),
                round(remembered * self.share + sum(min(most, each * own) * size for most, each, size in CACHES)),
                len(list((proc / "fd").iterdir())),
                len(list((proc / "task").iterdir())),
                len(told["tasks"]),
                told["blocks"],
                told["used"],
                told["kept"],
            )
        )

    def told(self) -> dict[str, Any]:
        """What the process told last."""
        told: dict[str, Any] = json.loads((self.inside / f"{self.pid}.json").read_text())
        return told

    def late(self) -> list[Sample]:
        """The samples after the warm-up."""
        last = self.samples[-1].seconds
        return [sample for sample in self.samples if sample.seconds >= last * WARM_UP]

    def growth(self) -> tuple[float, float] | None:
        """Bytes, and bytes a request, by which memory grew after the warm-up, over what is remembered on purpose.

        By the fitted line; None: too short to tell.
        """
        late = self.late()
        if self.samples[-1].seconds < SHORTEST or len(late) < FEWEST_SAMPLES:
            return None
        slope, _ = linear_regression([each.seconds for each in late], [each.rss - each.remembered for each in late])
        grown = slope * (late[-1].seconds - late[0].seconds)
        return grown, grown / max(late[-1].requests - late[0].requests, 1)

    def leaks(self) -> list[str]:
        """What grew, or stayed when all visitors had gone."""
        found, growth = [], self.growth()
        before, after = self.samples[0], self.samples[-1]
        if growth is not None and growth[0] > MOST_BYTES and growth[1] > MOST_BYTES_A_REQUEST:
            found.append(f"memory grew by {growth[0] / 2**20:.1f} MB, {growth[1]:.0f} bytes a request")
        if after.descriptors > before.descriptors + MOST_DESCRIPTORS:
            found.append(f"{after.descriptors} file descriptors stayed open, at the start {before.descriptors} were")
        if after.tasks > before.tasks + MOST_TASKS:
            told = ", ".join(self.told()["tasks"])
            found.append(f"{after.tasks} tasks stayed, at the start there were {before.tasks}: {told}")
        return [f"{self.name}: {each}" for each in found]

    def figures(self) -> dict[str, Any]:
        """For the table."""
        growth, late = self.growth(), self.late()
        quarter, last = late[0], self.samples[-1]
        return {
            "rss_first": self.samples[0].rss,
            "rss_quarter": quarter.rss,
            "rss_last": last.rss,
            "rss_peak": max(each.rss for each in self.samples),
            "remembered_quarter": quarter.remembered,
            "remembered_last": last.remembered,
            "blocks_quarter": quarter.blocks,
            "blocks_last": last.blocks,
            "used_quarter": quarter.used,
            "used_last": last.used,
            "kept_last": last.kept,
            "grown_bytes": None if growth is None else round(growth[0]),
            "grown_bytes_a_request": None if growth is None else round(growth[1], 2),
            "descriptors_most": max(each.descriptors for each in self.samples),
            "tasks_most": max(each.tasks for each in self.samples),
            "threads_most": max(each.threads for each in self.samples),
        }


@dataclass
class Watch:
    """Looks at all processes."""

    processes: list[ProcessWatch]
    started: float

    def look(self, requests: int, remembered: int) -> None:
        """One look at each."""
        seconds = asyncio.get_running_loop().time() - self.started
        for each in self.processes:
            each.look(seconds, requests, remembered)

    def warmed_up(self) -> None:
        """From now on memory should not grow."""
        for folder in {each.inside for each in self.processes}:
            (folder / "warm").touch()

    def leaks(self) -> list[str]:
        """Of all."""
        return [leak for each in self.processes for leak in each.leaks()]


def inside(folder: Path, *, trace: bool = False) -> dict[str, str]:
    """The environment in which every process tells of itself, in this folder. ``trace``: of its allocations, too."""
    path = os.pathsep.join((str(Path(__file__).with_name("inside")), str(Path(fsproxy.__file__).parents[1])))
    return {"SOAK_INSIDE": str(folder), "PYTHONPATH": path} | ({"SOAK_TRACE": "1"} if trace else {})


async def watched(http: aiohttp.ClientSession, proxy: RunningProxy, folder: Path) -> Watch:
    """All processes of a proxy that is ready, once each tells what it is like now."""
    async with http.get(f"{proxy.admin_url}/readyz") as response:
        workers = (await response.json()).get("workers", {})
    found = [ProcessWatch(f"worker {name}", each["pid"], folder, 1 / len(workers)) for name, each in workers.items()]
    found.append(ProcessWatch("supervisor" if workers else "process", proxy.process.pid, folder, float(not workers)))
    files = [folder / f"{each.pid}.json" for each in found]
    for file in files:
        file.unlink(missing_ok=True)  # of the start, when there are no tasks yet
    async with asyncio.timeout(30):
        while not all(file.exists() for file in files):
            await asyncio.sleep(0.05)
    return Watch(found, asyncio.get_running_loop().time())


async def metrics(http: aiohttp.ClientSession, admin_url: str) -> dict[str, float]:
    """All samples of /metrics by their whole names."""
    async with http.get(f"{admin_url}/metrics") as response:
        lines = [line.rpartition(" ") for line in (await response.text()).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}
