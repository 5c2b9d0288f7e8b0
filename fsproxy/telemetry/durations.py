"""Counts of durations by upper bounds, as Prometheus has them, and quantiles from such counts."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from prometheus_client.core import HistogramMetricFamily

FINE = tuple(0.000_02 * 1.25**step for step in range(66))
"""Bounds in seconds from 20 µs to 40 s, close enough for quantiles that are at most 12 % off."""


class Histogram:
    """Counts durations by their upper bounds in seconds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = (*map(str, bounds), "+Inf")
        self._limits = (*(round(bound * 1e9) for bound in bounds), math.inf)
        self.counts = [0] * len(self._limits)
        """Durations up to each bound; the last one is of all."""
        self._sum = 0

    def count(self, durations: list[int]) -> None:
        """Count durations in nanoseconds. To count many at once takes a fraction of counting each."""
        durations.sort()
        for place, limit in enumerate(self._limits):
            self.counts[place] += bisect_right(durations, limit)
        self._sum += sum(durations)

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """Return the counts in the form of Prometheus, in which each bucket includes those below it."""
        family = HistogramMetricFamily(name, text)
        family.add_metric([], list(zip(self._bounds, map(float, self.counts), strict=True)), self._sum / 1e9)
        return family


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Return the duration in seconds that this share of all stays below; None: there is none.

    ``counts``: up to each bound of ``FINE``, and of all. Within two bounds, durations are taken as evenly spread. What
    took longer than the last bound is left out: those are sockets and downloads.
    """
    every = counts[-2] if counts else 0
    if not every:
        return None
    wanted = share * every
    place = bisect_left(counts, wanted)
    lower, below = (FINE[place - 1], counts[place - 1]) if place else (0.0, 0)
    return lower + (FINE[place] - lower) * (wanted - below) / (counts[place] - below)
