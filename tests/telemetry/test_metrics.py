"""What is counted, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fsproxy.core.audit.line import Ending
from fsproxy.core.audit.record import Ended, Outcome
from fsproxy.core.failures import Failure
from fsproxy.core.model import FilterName, Hit, ListedRule, Mode, Route, Rule, rule_hit
from fsproxy.core.reasons import ReasonCode
from fsproxy.telemetry.metrics import MOST_NOTED, MOST_RULES, OWN_LATENCY, TOTAL_LATENCY, Histogram, Metrics
from fsproxy.telemetry.orgs import MOST_ORGS


def _count(metrics: Metrics, ended: Ended, total: int = 0, own: int = 0) -> None:
    """A request of no org ends."""
    end = Ending(Outcome.FORWARDED, ended, 1.0, "", None, b"")
    metrics.count(metrics.orgs.named[None], end, total, own)


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
        _count(metrics, (Route.PAGE, 2, True, ReasonCode.IP_FILTER, FilterName.IP))
    _count(metrics, (Route.PAGE, 2, True, Outcome.CAPTURED, True))
    _count(metrics, (Route.PAGE, 0, True, Failure.UPSTREAM_RESET, True))
    _count(metrics, (Route.OTHER, 4, False, Outcome.FORWARDED, False))
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
        _count(metrics, (Route.BUNDLE, 2, False, Outcome.FORWARDED, True), number * 1_000, 1)
        assert len(metrics._noted) < MOST_NOTED
    families = _families(metrics)
    total, own = families["fsproxy_total_latency_seconds"], families["fsproxy_own_latency_seconds"]
    assert total[("fsproxy_total_latency_seconds_count", ())] == MOST_NOTED + 1
    assert own[("fsproxy_own_latency_seconds_bucket", (("le", "0.0001"),))] == MOST_NOTED + 1
    assert total[("fsproxy_total_latency_seconds_bucket", (("le", "0.001"),))] == 1_001


def test_time_that_the_upstream_took_is_counted_where_it_was_asked() -> None:
    metrics = Metrics()
    _count(metrics, (Route.PAGE, 2, True, Outcome.CAPTURED, True), 6_000_000, 1_000_000)
    _count(metrics, (Route.PAGE, 2, True, ReasonCode.IP_FILTER, FilterName.IP), 50_000, 50_000)
    upstream = _families(metrics)["fsproxy_upstream_latency_seconds"]
    assert upstream[("fsproxy_upstream_latency_seconds_count", ())] == 1
    assert upstream[("fsproxy_upstream_latency_seconds_sum", ())] == 0.005


def hit(rule: Rule) -> Hit:
    return Hit(FilterName.IP, ReasonCode.IP_FILTER, rule)


def test_the_hits_of_a_list_are_one_label_and_an_explicit_id_is_one_of_its_own() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.rule_hits[rule_hit(hit(Rule(f"ip:block:10.0.0.{number}", "f.yaml:3:1")), Mode.ENFORCE)] += 1
        listed = ListedRule(f"ip:block:11.0.0.{number}", f"/etc/lists/bad.txt:{number}:1")
        metrics.rule_hits[rule_hit(hit(listed), Mode.ENFORCE)] += 1
    metrics.rule_hits[rule_hit(hit(Rule("no-office", "f.yaml:3:1")), Mode.SHADOW)] += 7
    assert _families(metrics)["fsproxy_rule_hits"] == {
        ("fsproxy_rule_hits_total", (("mode", "enforce"), ("rule", "ip"))): 1000.0,
        ("fsproxy_rule_hits_total", (("mode", "enforce"), ("rule", "file:bad.txt"))): 1000.0,
        ("fsproxy_rule_hits_total", (("mode", "shadow"), ("rule", "no-office"))): 7.0,
    }


def test_explicit_ids_beyond_the_first_200_are_counted_under_their_filter_and_no_series_ends() -> None:
    metrics = Metrics()
    for number in range(MOST_RULES + 20):
        metrics.rule_hits[rule_hit(hit(Rule(f"rule-{number}", "f.yaml:3:1")), Mode.ENFORCE)] += 1
    hits = _families(metrics)["fsproxy_rule_hits"]
    assert len(hits) == MOST_RULES + 1
    assert hits["fsproxy_rule_hits_total", (("mode", "enforce"), ("rule", "ip"))] == 20
    assert ("fsproxy_rule_hits_total", (("mode", "enforce"), ("rule", "rule-0"))) in hits


def test_sessions_and_bytes_are_labelled_by_org_and_orgs_without_a_name_are_together() -> None:
    metrics = Metrics()
    counts = metrics.orgs.admit("o-1", listed=True)
    counts.sessions, counts.up, counts.down = 2, 30, 40
    for number in range(MOST_ORGS + 5):
        each = metrics.orgs.admit(f"o\n{number}", listed=False)
        each.sessions += 1
        each.ended[Route.PAGE, 2, True, Outcome.CAPTURED, True] += 1
    families = _families(metrics)
    sessions, size = families["fsproxy_org_sessions"], families["fsproxy_upstream_bytes"]
    assert sessions["fsproxy_org_sessions_total", (("org", "o-1"),)] == 2
    assert sessions["fsproxy_org_sessions_total", (("org", "(others)"),)] == 6
    assert size["fsproxy_upstream_bytes_total", (("direction", "up"), ("org", "o-1"))] == 30
    assert size["fsproxy_upstream_bytes_total", (("direction", "down"), ("org", "o-1"))] == 40
    assert len(sessions) == MOST_ORGS + 1


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
