"""What several workers counted, as one program's metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from fsproxy.admin.workers.merging import MergedMetrics
from fsproxy.core.audit.record import Outcome
from fsproxy.core.model import Route
from fsproxy.telemetry.metrics import Metrics


def page(pages: int = 0, seconds: float | None = None, in_flight: int = 0, generation: int = 1) -> bytes:
    """A worker's answer to a scrape."""
    metrics = Metrics()
    if pages:
        metrics.orgs.others.ended[Route.PAGE, 2, True, Outcome.CAPTURED, True] += pages
    if seconds is not None:
        metrics.total_latency.count([round(seconds * 1e9)])
    metrics.in_flight = in_flight
    metrics.gauges["config_generation"] = ("", lambda: generation)
    metrics.gauges["config_errors"] = ("", lambda: generation)
    registry = CollectorRegistry()
    registry.register(metrics)
    return generate_latest(registry)


def values(merged: MergedMetrics) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in merged.text().decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


PAGES = 'fsproxy_requests_total{route="page",status="2xx"}'


def test_counters_histograms_and_gauges_are_sums() -> None:
    merged = MergedMetrics(2)
    merged.update([(11, page(3, 0.002, in_flight=1)), (12, page(4, 7.0, in_flight=2))])
    found = values(merged)
    assert found[PAGES] == 7
    assert found["fsproxy_in_flight"] == 3
    assert found["fsproxy_total_latency_seconds_count"] == 2
    assert found["fsproxy_total_latency_seconds_sum"] == 7.002
    assert found['fsproxy_total_latency_seconds_bucket{le="0.0025"}'] == 1


def test_what_is_true_of_all_workers_is_the_least_or_the_most_of_them() -> None:
    merged = MergedMetrics(2)
    merged.update([(11, page(generation=3)), (12, page(generation=2))])
    assert values(merged)["fsproxy_config_generation"] == 2
    assert values(merged)["fsproxy_config_errors"] == 3


def test_a_sum_never_goes_down_when_a_worker_ends() -> None:
    merged = MergedMetrics(2)
    merged.update([(11, page(30, 0.1, in_flight=5)), (12, page(4))])
    merged.retire([11])
    merged.update([(13, page(1)), (12, page(5))])
    found = values(merged)
    assert found[PAGES] == 36
    assert found["fsproxy_total_latency_seconds_count"] == 1
    assert found["fsproxy_in_flight"] == 0


def test_a_worker_that_does_not_answer_keeps_what_it_said_last() -> None:
    merged = MergedMetrics(2)
    merged.update([(11, page(30)), (12, page(4))])
    merged.update([(12, page(5))])
    assert values(merged)[PAGES] == 35


def test_the_supervisors_own_numbers_stand_beside_them() -> None:
    merged = MergedMetrics(4)
    merged.listening, merged.replaced = 3, 2
    found = values(merged)
    assert found["fsproxy_workers"] == 4
    assert found["fsproxy_workers_listening"] == 3
    assert found["fsproxy_workers_replaced_total"] == 2
