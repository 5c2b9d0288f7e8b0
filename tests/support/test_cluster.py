"""The test servers for a cluster do what their users rely on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from support.cluster import ClusterDeployment, orgs_of, running_cluster, slot_of
from support.valkey import wait_until
from support.workers import lives


@pytest.fixture(scope="module")
def deployment() -> Iterator[ClusterDeployment]:
    with running_cluster() as running:
        yield running


def key(org: str, name: str) -> str:
    return f"test:{{{org}}}:{name}"


def refusal(deployment: ClusterDeployment, org: str) -> str:
    """The first word of what the first node that runs says of an org's key; "": nothing."""
    witness = next(each for each in deployment.nodes if each.runs)
    said = witness.command("GET", key(org, "none")).split()[0].decode()
    return said[1:] if said.startswith("-") else ""


def test_each_primary_has_an_org(deployment: ClusterDeployment) -> None:
    orgs = orgs_of(deployment)
    assert [deployment.owner_of(org) for org in orgs] == deployment.nodes
    assert [refusal(deployment, org) for org in orgs] == ["", "MOVED", "MOVED"]


def test_a_slot_moves_key_by_key_and_what_is_not_there_is_asked_for_elsewhere(deployment: ClusterDeployment) -> None:
    org = orgs_of(deployment)[0]
    owner, slot = deployment.owner_of(org), slot_of(org)
    target = deployment.other_than(owner)
    for number in range(5):
        owner.ask("SET", key(org, str(number)), number)
    deployment.begin_migration(slot, target)
    assert deployment.move_keys(slot, target, 3) == 3
    assert owner.command("GET", key(org, "none")).startswith(b"-ASK")
    assert target.command("GET", key(org, "none")).startswith(b"-MOVED")
    target_holds = target.ask("CLUSTER", "COUNTKEYSINSLOT", slot)
    assert (target_holds, owner.ask("CLUSTER", "COUNTKEYSINSLOT", slot)) == (3, 2)
    assert deployment.move_keys(slot, target) == 2
    deployment.end_migration(slot, target)
    deployment.settle()
    assert deployment.owner_of(org) is target
    assert [target.ask("GET", key(org, str(number))) for number in range(5)] == list("01234")
    moved = []
    deployment.migrate(slot, owner, between=lambda: moved.append(1))
    deployment.settle()
    assert len(moved) == 5
    assert owner.ask("GET", key(org, "4")) == "4"


def test_a_key_that_the_target_has_too_is_not_moved(deployment: ClusterDeployment) -> None:
    org = orgs_of(deployment)[1]
    owner, slot = deployment.owner_of(org), slot_of(org)
    target = deployment.other_than(owner)
    owner.ask("SET", key(org, "twice"), 1)
    deployment.begin_migration(slot, target)
    with target.client() as connection:
        connection.execute_command("ASKING")
        connection.execute_command("SET", key(org, "twice"), 2)
    with pytest.raises(ResponseError, match="BUSYKEY"):
        deployment.move_keys(slot, target)
    owner.ask("DEL", key(org, "twice"))
    deployment.end_migration(slot, target)
    deployment.settle()


def test_a_node_that_is_killed_costs_its_own_slots_and_comes_back_empty(deployment: ClusterDeployment) -> None:
    orgs = orgs_of(deployment)
    lost = deployment.nodes[2]
    lost.ask("SET", key(orgs[2], "a"), 1)
    lost.kill()
    deployment.notice(lost)
    assert [refusal(deployment, org) for org in orgs] == ["", "MOVED", "MOVED"], "the others go on"
    deployment.heal()
    assert lost.ask("GET", key(orgs[2], "a")) is None


def test_with_full_coverage_a_lost_node_takes_all_with_it_and_a_replica_saves_them() -> None:
    with running_cluster(replicas=1, full_coverage=True) as running:
        org = orgs_of(running)[2]
        lost, slot = running.owner_of(org), slot_of(org)
        with lost.client() as client:
            client.set(key(org, "a"), 1)
            assert client.wait(1, 5_000) == 1
        lost.kill()
        wait_until(lambda: refusal(running, org) == "CLUSTERDOWN", "the cluster goes on")
        running.replaced(lost)
        running.heal()
        assert running.owner(slot).ask("GET", key(org, "a")) == "1"
        pids = [int(each.ask("INFO", "server")["process_id"]) for each in running.nodes]
        folder = Path(running.nodes[0].ask("CONFIG", "GET", "dir")["dir"])
        assert folder.exists()
    assert not any(map(lives, pids))
    assert not folder.exists()
