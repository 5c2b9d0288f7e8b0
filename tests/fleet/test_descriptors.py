"""What is done about the limit of descriptors at the start."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from structlog.testing import capture_logs

from fsproxy.config.schema import Config, ServerConfig, UpstreamConfig
from fsproxy.core.model import Instant
from fsproxy.fleet.descriptors import OTHERS, conditions, raise_soft_limit, that_fits
from fsproxy.http.server import HARD_LIMIT
from fsproxy.telemetry.conditions import Condition


@contextmanager
def soft_limit(soft: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def config(connections: int = 10_000, upstream: int = 512) -> Config:
    return Config(
        upstream=UpstreamConfig(url="http://a", max_connections=upstream),
        server=ServerConfig(max_connections=connections),
    )


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with soft_limit(128), capture_logs() as logs:
        raise_soft_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    assert logs == []


def told(*, connections: int) -> dict[str, Condition]:
    return {each.id: each for each in conditions(config(connections=connections, upstream=10), Instant(1.0))}


def test_a_limit_that_is_too_low_is_told_with_what_is_needed() -> None:
    with soft_limit(512):
        (said,) = told(connections=10_000).values()
        assert told(connections=100) == {}
    assert said.fields["needed"] == int(10_000 * HARD_LIMIT) + 10 + OTHERS
    assert said.fields["limit"] == 512


@pytest.mark.parametrize("share", [0.92, 1.0])
def test_descriptors_that_are_nearly_or_quite_used_up_are_told(share: float) -> None:
    with soft_limit(256), ExitStack() as stack:
        assert "descriptors" not in told(connections=100)
        lowest = 0
        while lowest < int(256 * share) - 1:
            lowest = stack.enter_context(open(os.devnull)).fileno()  # noqa: PTH123 - a device
        assert (
            told(connections=100)["descriptors"].text == "descriptors (open files) are nearly used up: the limit is 256"
        )
    assert "descriptors" not in told(connections=100)


@pytest.mark.parametrize("limit", [64, 128, 256, 1024, 4096, 20_000])
@pytest.mark.parametrize("upstream", [1, 512, 100_000])
def test_as_many_connections_are_taken_as_leave_room_for_the_upstream_and_all_else(limit: int, upstream: int) -> None:
    with soft_limit(limit):
        clients = that_fits(config(upstream=upstream)).max_connections
    # Each request that goes up takes one more, and there are no more of them than clients.
    taken = int(clients * HARD_LIMIT) + min(upstream, clients)
    assert 1 <= clients <= 10_000
    assert taken + min(OTHERS, limit // 2) <= limit + 2


def test_what_fits_is_left_as_it_is() -> None:
    with soft_limit(4096):
        assert that_fits(config(connections=100, upstream=10)) == config(connections=100).server
