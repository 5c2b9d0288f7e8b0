"""The metrics of several workers as those of one program: one scrape, one answer.

Counters and histograms are sums, which include the workers that have ended: a sum that went down when a worker is
replaced would look like a restart of all. What a worker counted after its last scrape is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

LEAST = frozenset(
    {
        "fsproxy_store_up",
        "fsproxy_store_watched",
        "fsproxy_config_generation",
        "fsproxy_config_loaded_timestamp_seconds",
        "process_start_time_seconds",
    }
)
"""Gauges of which the lowest value is true of all workers."""
MOST = frozenset(
    {
        "fsproxy_build_info",
        "fsproxy_config_errors",
        "fsproxy_names",
        "fsproxy_names_limit",
        "fsproxy_quota_limit",
        "fsproxy_quota_used",
        "fsproxy_run_time_list_entries",
        "fsproxy_store_evicted_keys",
        "fsproxy_store_max_bytes",
        "fsproxy_store_nodes",
        "fsproxy_store_used_bytes",
    }
)
"""Gauges of which the highest value is taken. Every worker reads the same configuration and the same counts, so a sum
would count them once for each worker. All other gauges are sums."""

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and labels."""


class MergedMetrics(Collector):
    """The sums of all workers. Calls may come from a thread, one at a time."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.listening = 0
        self.silent = 0
        self.replaced = 0
        self._families: dict[str, Metric] = {}
        """Without samples, in the order in which they appeared."""
        self._latest: dict[int, dict[str, dict[Key, float]]] = {}
        """By process id, then by family."""
        self._ended: dict[str, dict[Key, float]] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def scrape(self, pages: Iterable[tuple[int, bytes]], ended: Iterable[int]) -> bytes:
        """Take the workers' answers, retire the processes that have ended, and return the answer for all."""
        self.update(pages)
        self.retire(ended)
        return self.text()

    def update(self, pages: Iterable[tuple[int, bytes]]) -> None:
        """Take answers to a scrape: process id and text. A worker without an answer keeps its last one."""
        for pid, page in pages:
            self._latest[pid] = values = {}
            for family in text_string_to_metric_families(page.decode()):
                known = Metric(family.name, family.documentation, family.type)
                self._families.setdefault(family.name, known)
                values[family.name] = {(each.name, tuple(each.labels.items())): each.value for each in family.samples}

    def retire(self, pids: Iterable[int]) -> None:
        """Keep the counters of processes that have ended in the sums, and drop their gauges."""
        for pid in pids:
            for name, samples in self._latest.pop(pid, {}).items():
                if self._families[name].type != "gauge":
                    _add(self._ended.setdefault(name, {}), samples)

    def text(self) -> bytes:
        """Return the answer to a scrape."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield all families to prometheus-client."""
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
        yield GaugeMetricFamily("fsproxy_workers_silent", "Of them: that have not answered for 10 s.", self.silent)
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
