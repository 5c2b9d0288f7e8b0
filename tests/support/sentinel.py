"""A primary with its replicas, and three Sentinels that watch them: real ones, quick to notice what is killed."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.ports import free_ports
from support.valkey import QUICK_REPLICATION, ValkeyServer, wait_until

MASTER = "limits"
"""What the Sentinels call the primary."""
SENTINELS = ((1_000, 2), (2_000, 2), (1_000, 3))
"""Of each: after how many milliseconds of silence it takes a server for dead, and how many must for an election.

The first begins an election as soon as the third agrees with it, and the second only where the first did not. Alike,
all three would begin one at the same time and vote for themselves, which costs another four seconds each time.
"""
_QUICK = {
    "ping-period": 100,
    "info-period": 200,
    "ask-period": 100,
    "publish-period": 500,
    # On a busy machine a Sentinel that stood still for two seconds would do nothing for another thirty.
    "tilt-trigger": 10_000,
    "tilt-period": 1_000,
}
"""Milliseconds between what a Sentinel does by itself; all are seconds by default."""
_ELECTED = re.compile(
    r"^\d+:X (\d+) . \+(?:promoted-slave slave \S+|switch-master \S+ \S+ \d+) \S+ (\d+)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Election:
    """A server became the primary."""

    at: float
    """Unix seconds: from then on a Sentinel says so."""
    port: int


class _Sentinel(ValkeyServer):
    def __init__(self, port: int, folder: Path, primary: int, down_after: int, quorum: int) -> None:
        super().__init__(port, folder)
        self._file = folder / "sentinel.conf"
        self.log = folder / "sentinel.log"
        # A Sentinel writes into its file, so it knows the others when it is started again.
        self._file.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"logfile {self.log}\nlog-timestamp-format milliseconds\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {primary} {quorum}\n"
            f"sentinel down-after-milliseconds {MASTER} {down_after}\n"
            f"sentinel failover-timeout {MASTER} 2000\n"
        )

    def _arguments(self) -> list[str]:
        return [str(self._file), "--sentinel"]

    def start(self) -> None:
        super().start()
        self.ask("SENTINEL", "DEBUG", *(word for pair in _QUICK.items() for word in pair))


class SentinelDeployment:
    """The servers. All are on 127.0.0.1; what they hold is in memory alone."""

    def __init__(self, folder: Path, replicas: int, **options: str) -> None:
        """``options`` are more of the data servers' own, with ``_`` for ``-``."""
        ports = free_ports(1 + replicas + len(SENTINELS))
        self.servers = [ValkeyServer(port, folder, **(QUICK_REPLICATION | options)) for port in ports[: 1 + replicas]]
        self.sentinels: list[_Sentinel] = []
        for port, (down_after, quorum) in zip(ports[1 + replicas :], SENTINELS, strict=True):
            own = folder / f"sentinel-{port}"
            own.mkdir()
            self.sentinels.append(_Sentinel(port, own, ports[0], down_after, quorum))

    @property
    def nodes(self) -> list[str]:
        """The Sentinels' addresses."""
        return [f"127.0.0.1:{each.port}" for each in self.sentinels]

    @property
    def redis(self) -> dict[str, Any]:
        """``state.redis`` of a configuration."""
        return {"sentinel": {"master": MASTER, "nodes": self.nodes}}

    @property
    def primary(self) -> ValkeyServer:
        """What all Sentinels take for the primary, whether it lives or not; waits until they are at one."""
        ports: set[int] = set()

        def are_at_one() -> bool:
            ports.clear()
            ports.update(self._master_of(each) for each in self.sentinels if each.runs)
            return len(ports) == 1

        wait_until(are_at_one, "the Sentinels name several primaries")
        (port,) = ports
        return next(each for each in self.servers if each.port == port)

    @property
    def replicas(self) -> list[ValkeyServer]:
        """All other servers, whether they live or not."""
        primary = self.primary
        return [each for each in self.servers if each is not primary]

    def start(self) -> None:
        """Start all, empty; wait until every Sentinel knows every server and every other Sentinel."""
        first, *others = self.servers
        first.start()
        for each in others:
            each.start()
        self._attach(first)
        for sentinel in self.sentinels:
            sentinel.start()
        self.settle()

    def fail_over(self, *how: str) -> Election:
        """Let the Sentinels make a replica the primary, while the present one lives; return the election.

        ``how``: ``COORDINATED`` lets the primary wait for the replica first (Valkey 9).
        """
        before = self.elections()
        self.sentinels[0].ask("SENTINEL", "FAILOVER", MASTER, *how)
        return self.elected(len(before))

    def elections(self) -> list[Election]:
        """Return all so far, the first word of any Sentinel on each, in their order."""
        words = [Election(int(at) / 1000, int(port)) for each in self.sentinels for at, port in self._words(each)]
        found: list[Election] = []
        for word in sorted(words, key=lambda each: each.at):
            if not found or found[-1].port != word.port:
                found.append(word)
        return found

    def elected(self, number: int) -> Election:
        """Wait for the election with this number, counted from 0, and return it."""
        wait_until(lambda: len(self.elections()) > number, "no primary was elected")
        return self.elections()[number]

    def heal(self) -> None:
        """Start what was killed and resume what was paused, as replicas; wait until a failover is possible again."""
        for sentinel in self.sentinels:
            _revive(sentinel)
        # What was the primary comes back as one, and empty: nobody must follow it.
        primary = self.primary
        for each in self.servers:
            _revive(each)
        self._attach(primary)
        self.settle()

    def settle(self) -> None:
        """Wait until every replica is in step and all Sentinels agree that all is well."""
        wait_until(self._is_well, "the Sentinels do not agree")

    def kill(self) -> None:
        """SIGKILL, all of them."""
        for each in (*self.sentinels, *self.servers):
            each.kill()

    @staticmethod
    def _words(sentinel: _Sentinel) -> list[tuple[str, str]]:
        return _ELECTED.findall(sentinel.log.read_text()) if sentinel.log.exists() else []

    @staticmethod
    def _master_of(sentinel: _Sentinel) -> int:
        return int(sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1])

    def _attach(self, primary: ValkeyServer) -> None:
        """Make all other servers replicas of this one: Sentinels would, after ten seconds."""
        for each in self.servers:
            if each is not primary and each.ask("ROLE")[1:3] != ["127.0.0.1", primary.port]:
                each.ask("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: self._in_step(primary), "the replicas are not in step")

    def _in_step(self, primary: ValkeyServer) -> bool:
        role = primary.ask("ROLE")
        others = [each for each in self.servers if each is not primary]
        return (
            role[0] == "master"
            and len(role[2]) == len(others)
            and all(each.ask("ROLE")[3] == "connected" for each in others)
        )

    def _is_well(self) -> bool:
        primary = self.primary
        seen = [each.ask("SENTINEL", "MASTER", MASTER) for each in self.sentinels]
        replicas = [each.ask("SENTINEL", "REPLICAS", MASTER) for each in self.sentinels]
        return (
            self._in_step(primary)
            and all(int(each["port"]) == primary.port and each["flags"] == "master" for each in seen)
            and all(int(each["num-other-sentinels"]) == len(SENTINELS) - 1 for each in seen)
            and all(
                sum(replica["flags"] == "slave" and replica["master-link-status"] == "ok" for replica in each)
                == len(self.servers) - 1
                for each in replicas
            )
        )


def _revive(server: ValkeyServer) -> None:
    if server.runs:
        server.resume()
    else:
        server.start()


@contextmanager
def running_sentinels(replicas: int = 1, **options: str) -> Iterator[SentinelDeployment]:
    """A primary, so many replicas and three Sentinels, at one in everything; killed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="fsproxy-sentinel-"))
    deployment = SentinelDeployment(folder, replicas, **options)
    try:
        deployment.start()
        yield deployment
    finally:
        deployment.kill()
        shutil.rmtree(folder, ignore_errors=True)
