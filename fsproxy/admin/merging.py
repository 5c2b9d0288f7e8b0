"""The metrics of several workers as those of one program: one scrape, one answer.

Counters and histograms are sums, also over the workers that ended: a sum that went down when a worker is replaced
would look like a restart of all. What a worker counted after the last scrape before its end is lost with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

LEAST = frozenset({"fsproxy_store_up", "fsproxy_config_generation", "fsproxy_config_loaded_timestamp_seconds"})
"""Gauges of which the least counts: what is true of all workers."""
MOST = frozenset(
    {
        "fsproxy_config_errors",
        "fsproxy_names",
        "fsproxy_names_limit",
        "fsproxy_quota_limit",
        "fsproxy_quota_used",
        "fsproxy_store_max_bytes",
        "fsproxy_store_used_bytes",
    }
)
"""Every worker reads the same configuration and the same counts, so that a sum would count them once for each. Others
are sums."""

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and labels."""


class MergedMetrics(Collector):
    """What all workers counted. Calls may come from a thread, one at a time."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.listening = 0
        self.replaced = 0
        self._families: dict[str, Metric] = {}
        """Without samples, in the order in which they came."""
        self._latest: dict[int, dict[str, dict[Key, float]]] = {}
        """By process id, then by family."""
        self._ended: dict[str, dict[Key, float]] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def update(self, pages: Iterable[tuple[int, bytes]]) -> None:
        """Take what workers answered to a scrape: process id and text. One that did not answer keeps its last."""
        for pid, page in pages:
            self._latest[pid] = values = {}
            for family in text_string_to_metric_families(page.decode()):
                known = Metric(family.name, family.documentation, family.type)
                self._families.setdefault(family.name, known)
                values[family.name] = {(each.name, tuple(each.labels.items())): each.value for each in family.samples}

    def retire(self, pids: Iterable[int]) -> None:
        """These processes ended: their counters stay in the sums, their gauges go."""
        for pid in pids:
            for name, samples in self._latest.pop(pid, {}).items():
                if self._families[name].type != "gauge":
                    _add(self._ended.setdefault(name, {}), samples)

    def text(self) -> bytes:
        """The answer to a scrape."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """prometheus-client: all families."""
        for name, known in self._families.items():
            pages = [page[name] for page in self._latest.values() if name in page]
            if name in self._ended:
                pages.append(self._ended[name])
            if pages:
                family = Metric(known.name, known.documentation, known.type)
                for (sample, labels), value in _merged(name, pages).items():
                    family.add_sample(sample, dict(labels), value)
                yield family
        yield GaugeMetricFamily("fsproxy_workers", "Workers that are configured.", self.wanted)
        yield GaugeMetricFamily("fsproxy_workers_listening", "Workers that accept connections.", self.listening)
        yield CounterMetricFamily("fsproxy_workers_replaced", "Workers that ended unasked.", self.replaced)


def _merged(name: str, pages: list[dict[Key, float]]) -> dict[Key, float]:
    merged: dict[Key, float] = {}
    if name not in LEAST | MOST:
        for page in pages:
            _add(merged, page)
        return merged
    better = min if name in LEAST else max
    for page in pages:
        for key, value in page.items():
            merged[key] = better(merged.get(key, value), value)
    return merged


def _add(to: dict[Key, float], samples: dict[Key, float]) -> None:
    for key, value in samples.items():
        to[key] = to.get(key, 0.0) + value
