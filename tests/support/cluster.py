"""A cluster of three primaries, with replicas where a test wants them: real nodes, quick to notice what is killed."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from redis.crc import key_slot
from redis.exceptions import ResponseError

from support.ports import free_ports
from support.valkey import QUICK_REPLICATION, ValkeyServer, wait_until

PRIMARIES = 3
SLOTS = 16_384
NODE_TIMEOUT = 1_500
"""Milliseconds of silence after which the nodes take one for dead."""


class ClusterNode(ValkeyServer):
    """One node. What it knows of the others outlives it; what it holds for clients does not."""

    def __init__(self, port: int, bus: int, folder: Path, *, full_coverage: bool, **options: str) -> None:
        super().__init__(
            port,
            folder,
            cluster_enabled="yes",
            cluster_port=str(bus),
            cluster_config_file=f"nodes-{port}.conf",
            cluster_node_timeout=str(NODE_TIMEOUT),
            cluster_require_full_coverage="yes" if full_coverage else "no",
            **(QUICK_REPLICATION | options),
        )
        self.bus = bus

    @property
    def address(self) -> str:
        """Host and port for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def id(self) -> str:
        """What the nodes call it."""
        return str(self.ask("CLUSTER", "MYID"))


class ClusterDeployment:
    """The nodes. All are on 127.0.0.1."""

    def __init__(self, folder: Path, replicas: int, *, full_coverage: bool, **options: str) -> None:
        count = PRIMARIES * (1 + replicas)
        ports = free_ports(2 * count)
        self.nodes = [
            ClusterNode(port, bus, folder, full_coverage=full_coverage, **options)
            for port, bus in zip(ports[:count], ports[count:], strict=True)
        ]
        """The primaries of the start first, then for each of them its first replica, and so on."""

    @property
    def redis(self) -> dict[str, Any]:
        """``state.redis`` of a configuration."""
        return {"url": self.nodes[0].url, "cluster": True}

    def start(self) -> None:
        """Start all, empty, make a cluster of them with equal shares of slots, and wait until it is one."""
        for each in self.nodes:
            each.start()
        first, primaries = self.nodes[0], self.nodes[:PRIMARIES]
        for number, each in enumerate(self.nodes):
            each.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if each is not first:
                each.ask("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus)
        for number, each in enumerate(primaries):
            begin, end = (SLOTS * at // PRIMARIES for at in (number, number + 1))
            each.ask("CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
        wait_until(lambda: all(_known(each) == len(self.nodes) for each in self.nodes), "the nodes do not meet")
        for number, each in enumerate(self.nodes[PRIMARIES:]):
            each.ask("CLUSTER", "REPLICATE", primaries[number % PRIMARIES].id)
        self.settle()

    def settle(self) -> None:
        """Wait until all nodes that run agree on who has which slot, and replicas are in step."""
        wait_until(self._is_well, "the nodes do not agree")

    def owner(self, slot: int) -> ClusterNode:
        """Return the primary that has a slot, by the first node that runs, whether it lives or not."""
        witness = next(each for each in self.nodes if each.runs)
        for begin, end, primary, *_ in _slots(witness):
            if begin <= slot <= end:
                return next(each for each in self.nodes if each.port == primary)
        raise LookupError(slot)

    def owner_of(self, org: str) -> ClusterNode:
        """Return the primary that has an org's limits."""
        return self.owner(slot_of(org))

    def other_than(self, node: ClusterNode) -> ClusterNode:
        """Return another primary that runs."""
        primaries = {primary for _, _, primary, *_ in _slots(node)}
        return next(each for each in self.nodes if each is not node and each.runs and each.port in primaries)

    def begin_migration(self, slot: int, target: ClusterNode) -> None:
        """Let the target import the slot, and its owner send others to it for keys that it has no more."""
        owner = self.owner(slot)
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", owner.id)
        owner.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)

    def move_keys(self, slot: int, target: ClusterNode, most: int = SLOTS) -> int:
        """Move at most so many keys of a slot that migrates, one by one; return how many were moved.

        As the servers' own tools do, it fails when the target has a key of the same name: ``redis.ResponseError``.
        """
        owner = self.owner(slot)
        keys = owner.ask("CLUSTER", "GETKEYSINSLOT", slot, most)
        for key in keys:
            # NOKEY: it has expired meanwhile.
            owner.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 5_000)
        return len(keys)

    def end_migration(self, slot: int, target: ClusterNode) -> None:
        """Make the target the slot's owner, for all nodes."""
        owner, id_ = self.owner(slot), target.id
        for each in (target, owner, *self.nodes):
            with suppress(ResponseError):  # replicas and others that refuse hear it from the target
                if each.runs:
                    each.ask("CLUSTER", "SETSLOT", slot, "NODE", id_)

    def migrate(
        self, slot: int, target: ClusterNode, pause: float = 0.0, between: Callable[[], Any] | None = None
    ) -> None:
        """Move a slot key by key, with a pause of so many seconds after each; ``between`` is called after each, too."""
        self.begin_migration(slot, target)
        while self.move_keys(slot, target, 1):
            if between is not None:
                between()
            time.sleep(pause)
        self.end_migration(slot, target)

    def notice(self, lost: ClusterNode) -> None:
        """Wait until all nodes that run take this one for dead."""
        wait_until(lambda: all(_takes_for_dead(each, lost) for each in self.nodes if each.runs), "it is not noticed")

    def replaced(self, lost: ClusterNode) -> None:
        """Wait until a replica of this primary was elected, for all nodes that run."""
        wait_until(
            lambda: all(
                _info(each)["cluster_state"] == "ok" and lost.port not in {port for _, _, port in _slots(each)}
                for each in self.nodes
                if each.runs
            ),
            "no replica was elected",
        )

    def heal(self) -> None:
        """Start what was killed, resume what was paused; wait until all slots are served and replicas are in step."""
        for each in self.nodes:
            if each.runs:
                each.resume()
            else:
                each.start()
        self.settle()

    def kill(self) -> None:
        """SIGKILL, all of them."""
        for each in self.nodes:
            each.kill()

    def _is_well(self) -> bool:
        running = [each for each in self.nodes if each.runs]
        seen = [sorted((begin, end, primary) for begin, end, primary, *_ in _slots(each)) for each in running]
        return (
            sum(end - begin + 1 for begin, end, _ in seen[0]) == SLOTS
            and all(each == seen[0] for each in seen)
            and all(_info(each)["cluster_state"] == "ok" for each in running)
            and all(role[0] == "master" or role[3] == "connected" for role in (each.ask("ROLE") for each in running))
        )


def slot_of(org: str) -> int:
    """Return the slot of an org's keys."""
    return key_slot(f"{{{org}}}".encode())


def orgs_of(deployment: ClusterDeployment) -> list[str]:
    """Return an org for each of the first three primaries."""
    found: dict[int, str] = {}
    for number in range(SLOTS):
        found.setdefault(deployment.owner_of(f"o-{number}").port, f"o-{number}")
        if len(found) == PRIMARIES:
            break
    return [found[each.port] for each in deployment.nodes if each.port in found]


def _info(node: ClusterNode) -> dict[str, str]:
    text = str(node.ask("CLUSTER", "INFO"))
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _known(node: ClusterNode) -> int:
    return int(_info(node)["cluster_known_nodes"])


def _takes_for_dead(node: ClusterNode, other: ClusterNode) -> bool:
    lines = [line.split() for line in str(node.ask("CLUSTER", "NODES")).splitlines()]
    return any(words[1].startswith(f"{other.address}@") and "fail" in words[2].split(",") for words in lines)


def _slots(node: ClusterNode) -> list[tuple[int, int, int]]:
    """First and last slot of each range, and its primary's port."""
    found = []
    for line in str(node.ask("CLUSTER", "NODES")).splitlines():
        words = line.split()
        if len(words) > 8 and "master" in words[2]:
            port = int(words[1].partition("@")[0].rpartition(":")[2])
            for span in words[8:]:
                if not span.startswith("["):
                    begin, _, end = span.partition("-")
                    found.append((int(begin), int(end or begin), port))
    return found


@contextmanager
def running_cluster(replicas: int = 0, *, full_coverage: bool = False, **options: str) -> Iterator[ClusterDeployment]:
    """Three primaries, each with so many replicas, that serve all slots; killed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="fsproxy-cluster-"))
    deployment = ClusterDeployment(folder, replicas, full_coverage=full_coverage, **options)
    try:
        deployment.start()
        yield deployment
    finally:
        deployment.kill()
        shutil.rmtree(folder, ignore_errors=True)
