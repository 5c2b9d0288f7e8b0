"""Metrics for Prometheus: counted in plain integers for each request, and put into its form when they are scraped.

An increment is one dictionary operation; one of prometheus-client's own counters costs a lock and a method call. All
values of labels come from closed sets, never from a client.
"""

from __future__ import annotations

import platform
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fsproxy import __version__
from fsproxy.core.audit.line import Ending
from fsproxy.core.audit.privacy import safe
from fsproxy.core.failures import Failure
from fsproxy.core.model import FilterName, RuleHit
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.wire.facts import LONGEST_ID
from fsproxy.telemetry.durations import FINE, Histogram
from fsproxy.telemetry.orgs import OrgCounts, Orgs

OWN_LATENCY = (0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
TOTAL_LATENCY = (0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
MOST_NOTED = 2_000
"""Durations that wait to be counted together, two of each request."""
MOST_RULES = 200
"""Labels of rules; the hits of further rules are counted under their filters."""
Labelled = Counter[tuple[str, ...]]
"""Counts by the values of labels."""


class Metrics(Collector):
    """Everything that is counted. The keys of a counter are the values of its labels."""

    def __init__(self) -> None:
        self._counters: list[tuple[str, str, tuple[str, ...], Labelled]] = []
        counter = self._counter
        self.orgs = Orgs()
        """How requests ended, by org; ``requests`` and ``decisions`` are made of it."""
        self.shadow: Counter[tuple[ReasonCode, FilterName]] = Counter()
        """The hits of rules in shadow mode."""
        self.rule_hits: Counter[RuleHit] = Counter()
        self.filter_failures = counter("filter_failures", "Filters that failed because of a bug in fsproxy.", "filter")
        self.forwarded = counter("forwarded", "Requests that the upstream answered.", "route")
        self.upstream_failures = counter(
            "upstream_failures", "Requests to the upstream that failed, by kind of failure.", "kind"
        )
        self.upstream_retries = counter(
            "upstream_retries", "Requests sent again because a kept-alive connection had been closed."
        )
        self.recordings_ended = counter(
            "recordings_ended", "Answers of fsproxy that end a recording, by cause.", "cause"
        )
        self.rejections = counter("rejections", "Rejected client API calls and properties.", "code", "kind", "route")
        self.shadow_rejections = counter(
            "shadow_rejections",
            "Calls and properties that went on, with a rejection in shadow.",
            "code",
            "kind",
            "route",
        )
        self.redactions = counter("redactions", "Matches of redaction rules, in force or in shadow mode.", "rule")
        self.uninspectable = counter("uninspectable", "Capture bodies that could not be read.", "route")
        self.own_failures = counter("own_failures", "Bugs in fsproxy that did not stop a request, by place.", "place")
        self.malformed = counter("malformed_requests", "Requests that the HTTP parser refused.")
        self.forwarding_dropped = counter(
            "forwarding_headers_dropped", "Pages whose forwarding headers came from an untrusted peer."
        )
        self.proxy_headers = counter(
            "refused_proxy_headers", "Connections closed because of a PROXY header, or for want of one.", "kind"
        )
        self.refused_connections = counter("refused_connections", "Requests refused because of server.max_connections.")
        self.unattended_dropped = counter(
            "unattended_dropped", "Requests dropped after their clients had left, because there were too many of these."
        )
        self.loops = counter("loops", "Requests that had been through this instance before.")
        self.persist_failures = counter("persist_failures", "Failed attempts to write the state to state.persist.")
        self._noted: list[int] = []
        """Durations that are not yet counted: by turns our own and the whole of a request."""
        self._counting = threading.Lock()
        self.own_latency = Histogram(OWN_LATENCY)
        self.total_latency = Histogram(TOTAL_LATENCY)
        self.upstream_latency = Histogram(TOTAL_LATENCY)
        self.fine_own, self.fine_upstream = Histogram(FINE), Histogram(FINE)
        """The same of our own time and of the upstream's, close enough for quantiles."""
        self.in_flight = 0
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        """Help text and present value of each gauge, by name; read when the metrics are collected."""
        self.counts: dict[str, tuple[str, Callable[[], float]]] = {}
        """The same for counters that are kept elsewhere."""
        self.labelled_gauges: list[Callable[[], Iterable[Metric]]] = []

    def _counter(self, name: str, text: str, *labels: str) -> Labelled:
        counts: Labelled = Counter()
        self._counters.append((name, text, labels, counts))
        return counts

    def count_malformed(self) -> None:
        """Count a head that the parser refused."""
        self.malformed[()] += 1

    def count(self, org: OrgCounts, end: Ending, total: int, own: int) -> None:
        """Count a request, which took so many nanoseconds, and of them so many of our own."""
        org.ended[end.counted] += 1
        if end.hit is not None:
            self.rule_hits[end.hit] += 1
        noted = self._noted
        noted += own, total
        if len(noted) >= MOST_NOTED:
            self.count_durations()

    def count_durations(self) -> None:
        """Count the durations that wait to be counted."""
        # Metrics are also collected in other threads, while more is noted.
        with self._counting:
            noted = self._noted[:]
            del self._noted[: len(noted)]
            own, total = noted[::2], noted[1::2]
            upstream = [whole - ours for ours, whole in zip(own, total, strict=True) if whole != ours]
            for histogram in (self.own_latency, self.fine_own):
                histogram.count(own)
            for histogram in (self.upstream_latency, self.fine_upstream):
                histogram.count(upstream)
            self.total_latency.count(total)

    @property
    def requests(self) -> Labelled:
        """The requests by route and class of status (``2xx``; ``none`` without one)."""
        counts: Labelled = Counter()
        for (route, status, *_), count in self.orgs.ended().items():
            counts[route.value, f"{status}xx" if status else "none"] += count
        return counts

    @property
    def decisions(self) -> Labelled:
        """The decisions by reason code, filter and mode."""
        counts: Labelled = Counter()
        for (*_, end, by), count in self.orgs.ended().items():
            if isinstance(by, FilterName):
                counts[str(int(end)), by.value, "enforce"] += count
            elif by and not isinstance(end, Failure):
                counts["0", "", ""] += count
        for (code, name), count in list(self.shadow.items()):
            counts[str(int(code)), name.value, "shadow"] += count
        return counts

    def _labelled_hits(self) -> Labelled:
        counts: Labelled = Counter()
        known: set[str] = set()
        for (label, name, mode), count in list(self.rule_hits.items()):
            # The first ones stay, so that no series ends.
            if len(known) < MOST_RULES:
                known.add(label)
            counts[label if label in known else name.value, mode.value] += count
        return counts

    def _of_orgs(self) -> Iterator[Metric]:
        sessions, size = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        for org, counts in self.orgs.by_label():
            # Two ids may look alike once they are escaped.
            label = safe(org, LONGEST_ID)
            sessions[label,] += counts.sessions
            size[label, "up"] += counts.up
            size[label, "down"] += counts.down
        yield _family(
            "fsproxy_org_sessions", "New sessions that are captured, of at most 200 orgs.", ("org",), sessions
        )
        text = "Bytes of bodies to and from the upstream, of at most 200 orgs."
        yield _family("fsproxy_upstream_bytes", text, ("org", "direction"), size)

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, as prometheus-client requires."""
        build = _build()
        family = GaugeMetricFamily("fsproxy_build_info", "The versions of what runs; always 1.", labels=tuple(build))
        family.add_metric(tuple(build.values()), 1)
        yield family
        text = "Requests answered, by route and class of status (2xx)."
        yield _family("fsproxy_requests", text, ("route", "status"), self.requests)
        text = "Decisions on sessions; reason code 0 is captured."
        yield _family("fsproxy_decisions", text, ("reason_code", "filter", "mode"), self.decisions)
        text = "Hits of rules. A rule without an id of its own is counted under its list or its filter."
        yield _family("fsproxy_rule_hits", text, ("rule", "mode"), self._labelled_hits())
        yield from self._of_orgs()
        for name, text, labels, counts in self._counters:
            yield _family(f"fsproxy_{name}", text, labels, counts)
        self.count_durations()
        yield self.own_latency.family("fsproxy_own_latency_seconds", "Time that fsproxy itself adds to a request.")
        yield self.total_latency.family("fsproxy_total_latency_seconds", "Time from a request's arrival to its end.")
        text = "Time that requests waited for the upstream, up to the last byte of its answer."
        yield self.upstream_latency.family("fsproxy_upstream_latency_seconds", text)
        yield GaugeMetricFamily("fsproxy_in_flight", "Requests that are being answered.", self.in_flight)
        for name, (text, value) in self.gauges.items():
            yield GaugeMetricFamily(f"fsproxy_{name}", text, value())
        for name, (text, value) in self.counts.items():
            yield CounterMetricFamily(f"fsproxy_{name}", text, value())
        for labelled in self.labelled_gauges:
            yield from labelled()


@cache
def _build() -> dict[str, str]:
    """Return the versions of what runs. It reads files."""
    return {"version": __version__, "python": platform.python_version(), "aiohttp": version("aiohttp")}


def _family(name: str, text: str, labels: tuple[str, ...], counts: Labelled) -> CounterMetricFamily:
    if not labels:
        return CounterMetricFamily(name, text, value=sum(counts.values()))
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in list(counts.items()):
        family.add_metric(values, count)
    return family
