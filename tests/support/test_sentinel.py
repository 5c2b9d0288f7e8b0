"""The test servers for Sentinel do what their users rely on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fsproxy.clock import now
from support.sentinel import MASTER, SentinelDeployment, running_sentinels
from support.workers import lives


@pytest.fixture(scope="module")
def deployment() -> Iterator[SentinelDeployment]:
    with running_sentinels() as running:
        yield running


def test_sentinels_name_a_new_primary_when_it_was_killed_and_say_when(deployment: SentinelDeployment) -> None:
    deployment.heal()
    (replica,), before = deployment.replicas, len(deployment.elections())
    with deployment.primary.client() as client:
        client.set("key", "value")
        assert client.wait(1, 5_000) == 1
    assert deployment.elections() == []
    killed = now()
    deployment.primary.kill()
    election = deployment.elected(before)
    assert election.port == replica.port
    assert killed < election.at < now()
    deployment.heal()
    assert deployment.primary is replica
    assert replica.ask("GET", "key") == "value"
    assert len(deployment.replicas[0].ask("ROLE")) == 5, "what was killed is a replica now"


def test_an_orderly_failover_and_a_paused_primary_come_one_after_the_other(deployment: SentinelDeployment) -> None:
    deployment.heal()
    first, before = deployment.primary, len(deployment.elections())
    election = deployment.fail_over()
    assert election.port != first.port
    deployment.heal()
    deployment.primary.pause()
    assert deployment.elected(before + 1).port == first.port
    deployment.heal()
    assert deployment.primary is first


def test_nothing_is_left_behind() -> None:
    with running_sentinels(replicas=2) as running:
        every = [*running.servers, *running.sentinels]
        pids = [int(each.ask("INFO", "server")["process_id"]) for each in every]
        folder = running.sentinels[0].log.parents[1]
        assert running.sentinels[2].ask("SENTINEL", "CKQUORUM", MASTER)
        assert len(running.replicas) == 2
    assert not any(map(lives, pids))
    assert not folder.exists()
