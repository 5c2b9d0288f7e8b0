"""Metrics for Prometheus: counted in plain integers for each request, and put into its form when they are scraped.

An increment is one dictionary operation; one of prometheus-client's own counters costs a lock and a method call. All
values of labels come from closed sets, never from a client.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

OWN_LATENCY = (0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
TOTAL_LATENCY = (0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Histogram:
    """Counts durations in seconds by their upper bounds."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """Return the counts in the form of Prometheus, in which each bucket includes those below it."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        family = HistogramMetricFamily(name, text)
        family.add_metric([], buckets, self._sum)
        return family


class Metrics(Collector):
    """Everything that is counted. The keys of a counter are the values of its labels."""

    def __init__(self) -> None:
        self._counters: list[tuple[str, str, tuple[str, ...], Counter[Any]]] = []
        counter = self._counter
        self.requests: Counter[tuple[str, str]] = counter(
            "requests", "Requests answered, by route and class of status (2xx).", "route", "status"
        )
        self.decisions: Counter[tuple[str, str, str]] = counter(
            "decisions", "Decisions on sessions; reason code 0 is captured.", "reason_code", "filter", "mode"
        )
        self.filter_failures: Counter[tuple[str]] = counter(
            "filter_failures", "Filters that failed because of a bug in fsproxy.", "filter"
        )
        self.forwarded: Counter[tuple[str]] = counter("forwarded", "Requests that the upstream answered.", "route")
        self.upstream_failures: Counter[tuple[str]] = counter(
            "upstream_failures", "Requests to the upstream that failed, by kind of failure.", "kind"
        )
        self.upstream_retries: Counter[tuple[()]] = counter(
            "upstream_retries", "Requests sent again because a kept-alive connection had been closed."
        )
        self.recordings_ended: Counter[tuple[str]] = counter(
            "recordings_ended", "Answers of fsproxy that end a recording, by cause.", "cause"
        )
        self.rejections: Counter[tuple[str, str, str]] = counter(
            "rejections", "Rejected client API calls and properties.", "code", "kind", "route"
        )
        self.uninspectable: Counter[tuple[str]] = counter(
            "uninspectable", "Capture bodies that could not be read.", "route"
        )
        self.own_failures: Counter[tuple[str]] = counter(
            "own_failures", "Bugs in fsproxy that did not stop a request, by place.", "place"
        )
        self.malformed: Counter[tuple[()]] = counter("malformed_requests", "Requests that the HTTP parser refused.")
        self.forwarding_dropped: Counter[tuple[()]] = counter(
            "forwarding_headers_dropped", "Pages whose forwarding headers came from an untrusted peer."
        )
        self.refused_connections: Counter[tuple[()]] = counter(
            "refused_connections", "Requests refused because of server.max_connections."
        )
        self.unattended_dropped: Counter[tuple[()]] = counter(
            "unattended_dropped", "Requests dropped after their clients had left, because there were too many of these."
        )
        self.loops: Counter[tuple[()]] = counter("loops", "Requests that had been through this instance before.")
        self.persist_failures: Counter[tuple[()]] = counter(
            "persist_failures", "Failed attempts to write the state to state.persist."
        )
        self.own_latency = Histogram(OWN_LATENCY)
        self.total_latency = Histogram(TOTAL_LATENCY)
        self.in_flight = 0
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        """Help text and present value of each gauge, by name; read when the metrics are collected."""
        self.counts: dict[str, tuple[str, Callable[[], float]]] = {}
        """The same for counters that are kept elsewhere."""
        self.labelled_gauges: list[Callable[[], Iterable[Metric]]] = []

    def _counter(self, name: str, text: str, *labels: str) -> Counter[Any]:
        counts: Counter[Any] = Counter()
        self._counters.append((name, text, labels, counts))
        return counts

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, as prometheus-client requires."""
        for name, text, labels, counts in self._counters:
            yield _family(f"fsproxy_{name}", text, labels, counts)
        yield self.own_latency.family("fsproxy_own_latency_seconds", "Time that fsproxy itself adds to a request.")
        yield self.total_latency.family("fsproxy_total_latency_seconds", "Time from a request's arrival to its end.")
        yield GaugeMetricFamily("fsproxy_in_flight", "Requests that are being answered.", self.in_flight)
        for name, (text, value) in self.gauges.items():
            yield GaugeMetricFamily(f"fsproxy_{name}", text, value())
        for name, (text, value) in self.counts.items():
            yield CounterMetricFamily(f"fsproxy_{name}", text, value())
        for labelled in self.labelled_gauges:
            yield from labelled()


def _family(name: str, text: str, labels: tuple[str, ...], counts: Counter[Any]) -> CounterMetricFamily:
    if not labels:
        return CounterMetricFamily(name, text, value=sum(counts.values()))
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in list(counts.items()):
        family.add_metric(values, count)
    return family
