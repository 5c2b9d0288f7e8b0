"""What is counted, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fsproxy.core.audit.record import Outcome
from fsproxy.core.model import FilterName, Route
from fsproxy.core.reasons import ReasonCode
from fsproxy.telemetry.metrics import MOST_NOTED, OWN_LATENCY, TOTAL_LATENCY, Histogram, Metrics


def _families(metrics: Metrics) -> dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]]:
    registry = CollectorRegistry()
    registry.register(metrics)
    return {
        family.name: {(each.name, tuple(sorted(each.labels.items()))): each.value for each in family.samples}
        for family in text_string_to_metric_families(generate_latest(registry).decode())
    }


def test_every_family_is_there_before_anything_was_counted() -> None:
    families = _families(Metrics())
    assert {name for name in families if not name.startswith("fsproxy_")} == set()
    assert {
        "fsproxy_requests",
        "fsproxy_decisions",
        "fsproxy_forwarded",
        "fsproxy_upstream_failures",
        "fsproxy_recordings_ended",
        "fsproxy_own_latency_seconds",
        "fsproxy_total_latency_seconds",
        "fsproxy_in_flight",
    } <= set(families)


def test_counters_carry_their_labels_and_counts() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.count((Route.PAGE, 2, True, ReasonCode.IP_FILTER, FilterName.IP), 0, 0)
    metrics.count((Route.PAGE, 2, True, Outcome.CAPTURED, True), 0, 0)
    metrics.count((Route.PAGE, 0, True, Outcome.FAILED, True), 0, 0)
    metrics.count((Route.OTHER, 4, False, Outcome.FORWARDED, False), 0, 0)
    metrics.shadow[ReasonCode.GEOGRAPHY, FilterName.GEO] += 5
    metrics.recordings_ended[("blocked",)] += 3
    metrics.upstream_failures[("upstream_refused",)] += 1
    metrics.malformed[()] += 4
    metrics.in_flight = 2
    families = _families(metrics)
    assert families["fsproxy_decisions"] == {
        ("fsproxy_decisions_total", (("filter", "ip"), ("mode", "enforce"), ("reason_code", "5"))): 2.0,
        ("fsproxy_decisions_total", (("filter", ""), ("mode", ""), ("reason_code", "0"))): 1.0,
        ("fsproxy_decisions_total", (("filter", "geo"), ("mode", "shadow"), ("reason_code", "7"))): 5.0,
    }
    assert families["fsproxy_requests"] == {
        ("fsproxy_requests_total", (("route", "page"), ("status", "2xx"))): 3.0,
        ("fsproxy_requests_total", (("route", "page"), ("status", "none"))): 1.0,
        ("fsproxy_requests_total", (("route", "other"), ("status", "4xx"))): 1.0,
    }
    assert families["fsproxy_recordings_ended"] == {("fsproxy_recordings_ended_total", (("cause", "blocked"),)): 3.0}
    kinds = families["fsproxy_upstream_failures"]
    assert kinds == {("fsproxy_upstream_failures_total", (("kind", "upstream_refused"),)): 1.0}
    assert families["fsproxy_malformed_requests"] == {("fsproxy_malformed_requests_total", ()): 4.0}
    assert families["fsproxy_in_flight"] == {("fsproxy_in_flight", ()): 2.0}


def test_a_histogram_is_cumulative_and_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram((0.001, 0.01))
    histogram.count([1_100_000, 0, 1_000_000])
    histogram.count([5_000_000_000, 10_000_000])
    samples = {(each.name, each.labels.get("le")): each.value for each in histogram.family("x_seconds", "X.").samples}
    assert samples[("x_seconds_bucket", "0.001")] == 2
    assert samples[("x_seconds_bucket", "0.01")] == 4
    assert samples[("x_seconds_bucket", "+Inf")] == 5
    assert samples[("x_seconds_count", None)] == 5
    assert abs(samples[("x_seconds_sum", None)] - 5.0121) < 1e-9


def test_durations_are_counted_before_many_have_gathered() -> None:
    metrics = Metrics()
    for number in range(MOST_NOTED + 1):
        metrics.count((Route.BUNDLE, 2, False, Outcome.FORWARDED, True), number * 1_000, 1)
        assert len(metrics._noted) < MOST_NOTED
    families = _families(metrics)
    total, own = families["fsproxy_total_latency_seconds"], families["fsproxy_own_latency_seconds"]
    assert total[("fsproxy_total_latency_seconds_count", ())] == MOST_NOTED + 1
    assert own[("fsproxy_own_latency_seconds_bucket", (("le", "0.0001"),))] == MOST_NOTED + 1
    assert total[("fsproxy_total_latency_seconds_bucket", (("le", "0.001"),))] == 1_001


def test_bounds_rise() -> None:
    assert list(OWN_LATENCY) == sorted(set(OWN_LATENCY))
    assert list(TOTAL_LATENCY) == sorted(set(TOTAL_LATENCY))


def test_gauges_are_read_when_they_are_asked_for() -> None:
    metrics = Metrics()
    value = [1.0]
    metrics.gauges["something"] = ("Something.", lambda: value[0])
    assert _families(metrics)["fsproxy_something"] == {("fsproxy_something", ()): 1.0}
    value[0] = 7.0
    assert _families(metrics)["fsproxy_something"] == {("fsproxy_something", ()): 7.0}
