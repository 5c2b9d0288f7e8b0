"""What the soak watches of the proxy's process, and when a growth is called a leak: on Linux."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import linear_regression, mean
from typing import Any

import aiohttp

import process

WARM_UP = 0.25
"""The share of the time in which caches fill and the heap finds its size."""
FEWEST_SAMPLES = 40
SHORTEST = 120.0
"""Seconds below which growth of memory says nothing."""
MOST_BYTES = 12 * 1024 * 1024
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
    """One look. ``requests``: answered until then; ``remembered``: bytes that are kept on purpose."""

    seconds: float
    requests: int
    rss: int
    remembered: int
    descriptors: int
    tasks: int
    threads: int


@dataclass
class Watch:
    """Looks at one process."""

    pid: int
    tasks_file: Path
    started: float
    samples: list[Sample] = field(default_factory=list)

    def look(self, requests: int, remembered: int) -> Sample:
        """One look, kept."""
        proc = process.PROC / str(self.pid)
        sample = Sample(
            asyncio.get_running_loop().time() - self.started,
            requests,
            process.rss([self.pid]),
            remembered,
            len(list((proc / "fd").iterdir())),
            len(self.tasks()),
            len(list((proc / "task").iterdir())),
        )
        self.samples.append(sample)
        return sample

    def tasks(self) -> list[str]:
        """The names of what the tasks run."""
        return self.tasks_file.read_text().splitlines()

    def growth(self) -> tuple[float, float] | None:
        """Bytes, and bytes a request, by which memory grew after the warm-up, over what is remembered on purpose.

        By the fitted line; None: too short to tell.
        """
        last = self.samples[-1].seconds
        late = [sample for sample in self.samples if sample.seconds >= last * WARM_UP]
        if last < SHORTEST or len(late) < FEWEST_SAMPLES:
            return None
        slope, _ = linear_regression([each.seconds for each in late], [each.rss - each.remembered for each in late])
        grown = slope * (late[-1].seconds - late[0].seconds)
        return grown, grown / max(late[-1].requests - late[0].requests, 1)

    def leaks(self, before: Sample, after: Sample) -> list[str]:
        """What grew, or stayed when all visitors had gone."""
        found = []
        growth = self.growth()
        if growth is not None and growth[0] > MOST_BYTES and growth[1] > MOST_BYTES_A_REQUEST:
            found.append(
                f"memory grew by {growth[0] / 2**20:.1f} MB over what is remembered, {growth[1]:.0f} bytes a request"
            )
        if after.descriptors > before.descriptors + MOST_DESCRIPTORS:
            found.append(
                f"{after.descriptors} file descriptors stayed open, at the start there were {before.descriptors}"
            )
        if after.tasks > before.tasks + MOST_TASKS:
            found.append(
                f"{after.tasks} tasks stayed, at the start there were {before.tasks}: {', '.join(self.tasks())}"
            )
        return found

    def figures(self) -> dict[str, Any]:
        """For the table."""
        growth = self.growth()
        rss = [each.rss for each in self.samples]
        return {
            "rss_first": rss[0],
            "rss_last": rss[-1],
            "rss_peak": max(rss),
            "remembered_last": self.samples[-1].remembered,
            "grown_bytes": None if growth is None else round(growth[0]),
            "grown_bytes_a_request": None if growth is None else round(growth[1], 2),
            "descriptors_mean": round(mean(each.descriptors for each in self.samples), 1),
            "descriptors_most": max(each.descriptors for each in self.samples),
            "tasks_most": max(each.tasks for each in self.samples),
            "threads_most": max(each.threads for each in self.samples),
        }

    def as_rows(self) -> list[dict[str, Any]]:
        """All looks."""
        return [asdict(each) for each in self.samples]


async def metrics(http: aiohttp.ClientSession, admin_url: str) -> dict[str, float]:
    """All samples of /metrics by their whole names."""
    async with http.get(f"{admin_url}/metrics") as response:
        lines = [line.rpartition(" ") for line in (await response.text()).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}
