"""The nodes of a Cluster of the limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

from fsproxy.cli.doctor.findings import Finding, fault, ok, unknown, warning
from fsproxy.cli.doctor.store import Client, asked, failed
from fsproxy.config.hosts import Node
from fsproxy.config.schema import RedisConfig
from fsproxy.state.redis.servers.refusals import MISFITS, OTHERWISE, REMEDIES, UNSERVED
from fsproxy.state.redis.servers.slots import SlotMap
from fsproxy.state.redis.wire import KEY_VERSION

if TYPE_CHECKING:  # redis-py is an extra
    from fsproxy.state.redis.servers.nodes import Nodes

COVERAGE = "cluster-require-full-coverage"


async def cluster(config: RedisConfig) -> AsyncIterator[Finding]:
    """Look at every primary: what is found at one is said of that one."""
    try:
        from fsproxy.state.redis.servers.configured import cluster_of  # noqa: PLC0415 - an extra
    except ImportError:
        yield unknown("redis.connect", "it was not asked, as redis-py is not installed", "pip install fsproxy[redis]")
        return
    from fsproxy.state.redis.servers.nodes import NoMapError  # noqa: PLC0415

    nodes, limit = cluster_of(config), max(config.timeout, 3.0)
    try:
        slots = await nodes.read_map(limit)
    except NoMapError as error:
        reason = str(error)
        check = "redis.kind" if reason in MISFITS else "redis.connect"
        yield fault(check, f"no node tells which nodes there are: {reason}", REMEDIES.get(reason, OTHERWISE))
        return
    counts = slots.counts()
    alone = sum(not slots.replicas.get(node) for node in counts)
    yield ok("redis.connect", f"a Cluster of {len(counts)} primaries, {alone} of them without a replica")
    if unserved := slots.unserved():
        yield fault("redis.slots", f"{unserved} of its slots have no node", REMEDIES[UNSERVED])
    for node in sorted(counts):
        async for finding in _node(nodes, node, slots, limit, config, alone):
            yield replace(finding, text=f"{node}: {finding.text}")


async def _node(
    nodes: Nodes, node: Node, slots: SlotMap, limit: float, config: RedisConfig, alone: int
) -> AsyncIterator[Finding]:
    from redis.asyncio import Redis  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415

    pool = nodes.server(node).pool(limit, 1, decode_responses=True)
    client = Redis(connection_pool=pool)
    try:
        await client.execute_command("PING")  # type: ignore[no-untyped-call]
    except (RedisError, OSError) as error:
        yield failed("redis.node", "it cannot be used", error)
        return
    else:
        yield ok("redis.node", f"it answers, and has {slots.counts()[node]} slots")
        yield await _coverage(client, alone)
        base = slots.key_at(node, f"{config.prefix}{KEY_VERSION}:{{~doctor", "}:") or ""
        async for finding in asked(client, base):
            yield finding
    finally:
        await pool.disconnect()


async def _coverage(client: Client, alone: int) -> Finding:
    """Say what the loss of a node costs, as far as this one tells."""
    from redis.exceptions import RedisError  # noqa: PLC0415

    check = "redis.coverage"
    try:
        found = await client.execute_command("CONFIG GET", COVERAGE)
    except RedisError:
        text = f"it does not tell {COVERAGE}, which is yes unless it was set"
        return unknown(check, text, "Grant +config|get to the user, or look at it yourself: it should be no.")
    if "yes" not in found.values() or not alone:
        return ok(check, f"{COVERAGE} is {next(iter(found.values()), 'not there')}")
    text = f"{COVERAGE} is yes: the loss of one of {alone} nodes without a replica takes the limits of all orgs"
    return warning(check, text, f"Set {COVERAGE} no on every node, or give each primary a replica.")
