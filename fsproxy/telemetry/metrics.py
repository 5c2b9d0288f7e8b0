"""Metrics in Prometheus' form: counted in plain integers on the hot path, collected when asked for.

A child of prometheus-client's own counters costs a lock and a method call for each increment; here an
increment is one dictionary operation. Labels are closed sets; nothing a client sends becomes one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

OWN_LATENCY = (0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
TOTAL_LATENCY = (0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Histogram:
    """Counts of durations in seconds, by upper bound."""

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
        """As Prometheus wants it: cumulative."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        family = HistogramMetricFamily(name, text)
        family.add_metric([], buckets, self._sum)
        return family


class Metrics(Collector):
    """Everything that is counted. ``gauges`` are read at the moment of collection."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        """By route and status class (``2xx``)."""
        self.decisions: Counter[tuple[str, str, str]] = Counter()
        """By reason code (``0``: captured), filter and mode."""
        self.filter_failures: Counter[tuple[str]] = Counter()
        self.forwarded: Counter[tuple[str]] = Counter()
        """Requests answered by the upstream, by route."""
        self.upstream_failures: Counter[tuple[str]] = Counter()
        """By kind (``upstream_refused``, ...)."""
        self.upstream_retries: Counter[tuple[()]] = Counter()
        self.recordings_ended: Counter[tuple[str]] = Counter()
        """Answers of ours that end a recording (wire.md 2), by cause."""
        self.rejections: Counter[tuple[str, str, str]] = Counter()
        """Rejected calls and properties, by code, call kind and route."""
        self.uninspectable: Counter[tuple[str]] = Counter()
        """Capture bodies that could not be read, by route."""
        self.own_failures: Counter[tuple[str]] = Counter()
        """Our own bugs, survived: by place."""
        self.malformed: Counter[tuple[()]] = Counter()
        self.forwarding_dropped: Counter[tuple[()]] = Counter()
        """Pages whose forwarding headers came from an untrusted peer and were dropped."""
        self.refused_connections: Counter[tuple[()]] = Counter()
        self.unattended_dropped: Counter[tuple[()]] = Counter()
        """Requests whose client had left and that were dropped, as too many of them went on."""
        self.loops: Counter[tuple[()]] = Counter()
        """Requests that had been through this instance before."""
        self.persist_failures: Counter[tuple[()]] = Counter()
        """Attempts to keep the state in its file that failed."""
        self.own_latency = Histogram(OWN_LATENCY)
        self.total_latency = Histogram(TOTAL_LATENCY)
        self.in_flight = 0
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        """Name -> (help, value now)."""
        self.counts: dict[str, tuple[str, Callable[[], float]]] = {}
        """The same, of counters that others keep."""
        self.labelled_gauges: list[Callable[[], Iterable[Metric]]] = []
        self.before: list[Callable[[], Awaitable[object]]] = []
        """What must be waited for before a collection."""

    def collect(self) -> Iterator[Metric]:
        """prometheus-client: all families."""
        families: tuple[tuple[str, tuple[str, ...], str, Counter[Any]], ...] = (
            ("requests", ("route", "status"), "Requests answered.", self.requests),
            ("decisions", ("reason_code", "filter", "mode"), "Decisions; code 0: captured.", self.decisions),
            ("filter_failures", ("filter",), "Filters that failed (a fault of ours).", self.filter_failures),
            ("forwarded", ("route",), "Requests answered by the upstream.", self.forwarded),
            ("upstream_failures", ("kind",), "Exchanges with the upstream that failed.", self.upstream_failures),
            ("upstream_retries", (), "Requests sent again after a stale connection.", self.upstream_retries),
            ("recordings_ended", ("cause",), "Answers of ours that end a recording.", self.recordings_ended),
            ("rejections", ("code", "kind", "route"), "Rejected calls and properties.", self.rejections),
            ("uninspectable", ("route",), "Capture bodies that could not be read.", self.uninspectable),
            ("own_failures", ("place",), "Faults of ours that were survived.", self.own_failures),
            ("malformed_requests", (), "Heads that the HTTP parser refused.", self.malformed),
            ("forwarding_headers_dropped", (), "Pages with untrusted forwarding headers.", self.forwarding_dropped),
            ("refused_connections", (), "Requests over server.max_connections.", self.refused_connections),
            ("unattended_dropped", (), "Requests of clients that left, dropped: too many.", self.unattended_dropped),
            ("loops", (), "Requests that came back to this instance.", self.loops),
            ("persist_failures", (), "Attempts to write state.persist that failed.", self.persist_failures),
        )
        for name, labels, text, counts in families:
            yield _counter(f"fsproxy_{name}", text, labels, counts)
        yield self.own_latency.family("fsproxy_own_latency_seconds", "Our own share of a request's time.")
        yield self.total_latency.family("fsproxy_total_latency_seconds", "A request's whole time.")
        yield GaugeMetricFamily("fsproxy_in_flight", "Requests being answered.", self.in_flight)
        for name, (text, value) in self.gauges.items():
            yield GaugeMetricFamily(f"fsproxy_{name}", text, value())
        for name, (text, value) in self.counts.items():
            yield CounterMetricFamily(f"fsproxy_{name}", text, value())
        for labelled in self.labelled_gauges:
            yield from labelled()


def _counter(name: str, text: str, labels: tuple[str, ...], counts: Counter[Any]) -> CounterMetricFamily:
    if not labels:
        return CounterMetricFamily(name, text, value=sum(counts.values()))
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in list(counts.items()):
        family.add_metric(values, count)
    return family
