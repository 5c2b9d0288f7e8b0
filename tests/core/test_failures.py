"""The closed list of failures: words in audit lines, statuses, and what clients read."""

from __future__ import annotations

import re

import pytest

from fsproxy.core.failures import Failure
from fsproxy.core.model import Route

STATUSES = {
    "bad_request": 400,
    "uninspectable": 400,
    "body_timeout": 408,
    "body_too_large": 413,
    "header_too_large": 431,
    "client_gone": 499,
    "internal": 502,
    "method": 405,
    "socket_refused": 202,
    "socket_version": 426,
    "client_stalled": 499,
    "upstream_refused": 502,
    "upstream_dns": 502,
    "upstream_tls": 502,
    "upstream_reset": 502,
    "upstream_invalid": 502,
    "upstream_declined": 502,
    "upstream_cut": 502,
    "upstream_connect_timeout": 504,
    "upstream_busy": 503,
    "upstream_timeout": 504,
    "loop": 508,
    "overloaded": 503,
    "draining": 503,
}
"""rules.md 4: refused, reset, TLS or DNS 502; timeout 504; draining or overloaded 503."""


def test_each_failure_has_its_word_in_audit_lines_and_its_status() -> None:
    assert {failure.value: failure.status for failure in Failure} == STATUSES


@pytest.mark.parametrize("failure", Failure)
def test_what_a_client_reads_is_a_title_and_a_sentence(failure: Failure) -> None:
    assert re.fullmatch(r"[A-Z][a-z]+(?: [a-z]+)*", failure.summary)
    assert re.fullmatch(r"[A-Z][A-Za-z0-9'/. ]+[a-z1]\.", failure.detail)


@pytest.mark.parametrize("failure", Failure)
def test_a_slow_client_and_all_that_is_ours_or_the_upstreams_may_go_better_next_time(failure: Failure) -> None:
    assert failure.is_temporary is (failure is Failure.BODY_TIMEOUT or failure.status in {502, 503, 504, 508})
    assert failure.status_on(Route.EVENT) == (502 if failure.is_temporary else failure.status)
    assert failure.status_on(Route.OTHER) == failure.status
