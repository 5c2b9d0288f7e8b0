"""What is counted, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fsproxy.telemetry.metrics import OWN_LATENCY, TOTAL_LATENCY, Histogram, Metrics


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
    metrics.decisions["5", "ip", "enforce"] += 2
    metrics.decisions["0", "", ""] += 1
    metrics.recordings_ended[("blocked",)] += 3
    metrics.upstream_failures[("upstream_refused",)] += 1
    metrics.malformed[()] += 4
    metrics.in_flight = 2
    families = _families(metrics)
    assert families["fsproxy_decisions"] == {
        ("fsproxy_decisions_total", (("filter", "ip"), ("mode", "enforce"), ("reason_code", "5"))): 2.0,
        ("fsproxy_decisions_total", (("filter", ""), ("mode", ""), ("reason_code", "0"))): 1.0,
    }
    assert families["fsproxy_recordings_ended"] == {("fsproxy_recordings_ended_total", (("cause", "blocked"),)): 3.0}
    kinds = families["fsproxy_upstream_failures"]
    assert kinds == {("fsproxy_upstream_failures_total", (("kind", "upstream_refused"),)): 1.0}
    assert families["fsproxy_malformed_requests"] == {("fsproxy_malformed_requests_total", ()): 4.0}
    assert families["fsproxy_in_flight"] == {("fsproxy_in_flight", ()): 2.0}


def test_a_histogram_is_cumulative_and_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram((0.001, 0.01))
    for seconds in (0.0, 0.001, 0.0011, 0.01, 5.0):
        histogram.observe(seconds)
    samples = {(each.name, each.labels.get("le")): each.value for each in histogram.family("x_seconds", "X.").samples}
    assert samples[("x_seconds_bucket", "0.001")] == 2
    assert samples[("x_seconds_bucket", "0.01")] == 4
    assert samples[("x_seconds_bucket", "+Inf")] == 5
    assert samples[("x_seconds_count", None)] == 5
    assert abs(samples[("x_seconds_sum", None)] - 5.0121) < 1e-9


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
