"""When an upstream counts as failing, and what is said of it."""

from __future__ import annotations

import pytest

from fsproxy.core.failures import Failure
from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import Condition
from fsproxy.telemetry.upstream_health import ANSWERS_5XX, ENOUGH, PATIENCE_SECONDS, UpstreamHealth

A, B = "10.0.0.7:443", "b.test:80"
T = Instant(1_764_500_000.0)
LATER = Instant(T + PATIENCE_SECONDS)
KINDS = [*(each.value for each in Failure if each.value.startswith("upstream_")), ANSWERS_5XX]


def found(health: UpstreamHealth, now: float = LATER) -> list[Condition]:
    return list(health.conditions(Instant(now)))


def test_one_that_cannot_be_reached_fails_when_no_request_succeeds_for_two_seconds() -> None:
    health = UpstreamHealth()
    health.failed(A, Failure.UPSTREAM_REFUSED, "connection refused", T)
    assert found(health, LATER - 0.1) == []
    (condition,) = found(health)
    assert condition.id == f"upstream:{A}"
    assert condition.text == f"the upstream {A} fails: it refuses connections (connection refused)"
    assert (condition.since, condition.count, condition.ended) == (T, 1, None)
    assert condition.fields == {"address": A, "kind": "upstream_refused"}
    assert health.last_failure == "upstream_refused"


def test_a_success_before_that_leaves_no_trace() -> None:
    health = UpstreamHealth()
    health.failed(A, Failure.UPSTREAM_REFUSED, "", T)
    health.succeeded(A, Instant(T + 1))
    assert (found(health), health.last_failure) == ([], None)


@pytest.mark.parametrize("kind", [Failure.UPSTREAM_TIMEOUT, Failure.UPSTREAM_CUT, ANSWERS_5XX])
def test_one_that_connects_fails_only_when_several_requests_in_a_row_did(kind: str) -> None:
    health = UpstreamHealth()
    for _ in range(ENOUGH - 1):
        health.failed(A, kind, "", T)
    assert found(health) == []
    health.failed(A, kind, "", T)
    assert [each.count for each in found(health)] == [ENOUGH]


def test_a_status_of_500_or_more_is_a_failure_but_not_our_own_of_a_loop() -> None:
    health = UpstreamHealth()
    health.answered(A, Failure.LOOP.status, T)
    health.answered(A, 499, T)
    assert health.last_failure is None
    health.answered(A, 500, T)
    health.answered(A, Failure.LOOP.status, T)
    assert health.last_failure == ANSWERS_5XX
    health.answered(A, 200, T)
    assert health.last_failure is None


def test_it_is_back_with_the_first_success_and_its_end_is_exact() -> None:
    health = UpstreamHealth()
    health.failed(A, Failure.UPSTREAM_DNS, "", T)
    found(health)
    health.failed(A, Failure.UPSTREAM_DNS, "", LATER)
    health.succeeded(A, Instant(T + 9.5))
    (condition,) = found(health, T + 10)
    assert (condition.ended, condition.count) == (T + 9.5, 2)
    assert found(health, T + 11) == []


def test_each_host_is_known_by_itself() -> None:
    health = UpstreamHealth()
    for address in (A, B):
        health.failed(address, Failure.UPSTREAM_REFUSED, "", T)
    health.succeeded(B, T)
    assert [each.fields["address"] for each in found(health)] == [A]


def test_a_clock_that_is_set_back_delays_nothing() -> None:
    health = UpstreamHealth()
    health.failed(A, Failure.UPSTREAM_REFUSED, "", T)
    assert len(found(health, T - 3600)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words(kind: str) -> None:
    health = UpstreamHealth()
    for _ in range(ENOUGH):
        health.failed(A, kind, "", T)
    (condition,) = found(health)
    assert condition.more.endswith(".")
    assert "{" not in condition.more
