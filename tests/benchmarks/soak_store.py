"""The soak's store in each form that several workers can share, and what is done to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from support.cluster import ClusterDeployment, running_cluster, slot_of
from support.sentinel import SentinelDeployment, running_sentinels
from support.valkey import ValkeyServer, running_valkey


@dataclass(frozen=True, slots=True)
class SoakStore:
    """A store that runs."""

    redis: Mapping[str, Any]
    """``state.redis`` of the configuration."""
    faults: Mapping[str, tuple[Callable[[], object], Callable[[], object]]]
    """What breaks it and what mends it, by what is done. They take their time, so they run in a thread."""


def _one_server(server: ValkeyServer) -> SoakStore:
    return SoakStore(
        server.redis,
        {"store killed": (server.kill, server.start), "store hangs": (server.pause, server.resume)},
    )


def _sentinels(deployment: SentinelDeployment) -> SoakStore:
    def lose(how: Callable[[ValkeyServer], None]) -> None:
        number = len(deployment.elections())
        how(deployment.primary)
        deployment.elected(number)

    return SoakStore(
        deployment.redis,
        {
            "primary killed": (lambda: lose(ValkeyServer.kill), deployment.heal),
            "failover": (deployment.fail_over, deployment.heal),
            "primary hangs": (lambda: lose(ValkeyServer.pause), deployment.heal),
        },
    )


def _cluster(deployment: ClusterDeployment, org: str) -> SoakStore:
    def lose() -> None:
        lost = deployment.owner_of(org)
        lost.kill()
        deployment.replaced(lost)

    def move() -> None:
        slot = slot_of(org)
        deployment.migrate(slot, deployment.other_than(deployment.owner(slot)))

    def pause() -> None:
        deployment.owner_of(org).pause()

    return SoakStore(
        deployment.redis,
        {
            "primary killed": (lose, deployment.heal),
            "slot migrated": (move, deployment.settle),
            "primary hangs": (pause, deployment.heal),
        },
    )


@contextmanager
def running_store(form: str, org: str) -> Iterator[SoakStore]:
    """``form``: server, sentinel or cluster; ``org``: whose limits are lost where only some are."""
    if form == "server":
        with running_valkey() as server:
            yield _one_server(server)
    elif form == "sentinel":
        with running_sentinels() as sentinels:
            yield _sentinels(sentinels)
    else:
        with running_cluster(replicas=1) as cluster:
            yield _cluster(cluster, org)
