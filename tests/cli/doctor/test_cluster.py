"""The doctor looks at the nodes of a Cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fsproxy.cli.doctor.cluster import cluster
from fsproxy.cli.doctor.findings import Finding
from fsproxy.config.schema import RedisConfig
from fsproxy.state.redis.servers.slots import SLOTS
from support.cluster import ClusterDeployment, running_cluster
from support.valkey import running_valkey


@pytest.fixture(scope="module")
def nodes() -> Iterator[ClusterDeployment]:
    with running_cluster(full_coverage=True) as deployment:
        yield deployment


async def asked(url: str) -> list[Finding]:
    return [each async for each in cluster(RedisConfig(url=url, cluster=True))]


def states(found: list[Finding], check: str) -> list[tuple[str, str]]:
    return [(each.state.value, each.text) for each in found if each.check == check]


async def test_every_primary_is_looked_at(nodes: ClusterDeployment) -> None:
    found = await asked(nodes.nodes[0].url)
    (whole,) = states(found, "redis.connect")
    assert whole == ("ok", "a Cluster of 3 primaries, 3 of them without a replica")
    for check in ("redis.node", "redis.rights", "redis.policy"):
        told = states(found, check)
        assert [state for state, _ in told] == ["ok"] * 3, told
        assert {text.partition(": ")[0] for _, text in told} == {each.address for each in nodes.nodes}
    assert all(state == "warning" and "of all orgs" in text for state, text in states(found, "redis.coverage"))


async def test_a_cluster_that_goes_on_without_a_node_is_right_and_one_that_does_not_say_so_is_unknown(
    nodes: ClusterDeployment,
) -> None:
    first, second, third = nodes.nodes
    first.ask("CONFIG", "SET", "cluster-require-full-coverage", "no")
    second.ask("ACL", "SETUSER", "default", "-config")
    try:
        found = await asked(nodes.nodes[0].url)
    finally:
        second.ask("ACL", "SETUSER", "default", "+config")
    told = {text.partition(": ")[0]: state for state, text in states(found, "redis.coverage")}
    assert told == {first.address: "ok", second.address: "unknown", third.address: "warning"}


async def test_slots_without_a_node_are_a_fault(nodes: ClusterDeployment) -> None:
    last = nodes.owner(SLOTS - 1)
    # Its owner first: it would tell the others that the slot is its own.
    for each in reversed(nodes.nodes):
        each.ask("CLUSTER", "DELSLOTS", SLOTS - 1)
    try:
        assert states(await asked(nodes.nodes[0].url), "redis.slots") == [("fault", "1 of its slots have no node")]
    finally:
        last.ask("CLUSTER", "ADDSLOTS", SLOTS - 1)


async def test_a_server_that_is_no_node_is_said_to_be_one() -> None:
    with running_valkey() as server:
        (found,) = await asked(server.url)
    assert (found.check, found.state.value) == ("redis.kind", "fault")
    assert "cluster: false" in found.advice
