"""Throughput of 1 and 2 workers on the same two cores over one Valkey, as a ratio: on Linux.

    python tests/benchmarks/workers.py [--paths block-10,forward] [--seconds 2] [--rounds 5]

Windows go round in turn, so that what else the machine does falls on both alike. Load, upstream and Valkey need
CPU time too: where there are two cores in all, it is missing to the second worker. Hence the CPU time as well:
how much of what is spent for a request grows with the second worker.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvloop

import configs
import peers
import process
from configs import PathSpec
from load import Load
from peers import Peer
from upstream import start_upstream

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from support.ports import free_ports  # noqa: E402 - tests/support is on pytest's path alone
from support.valkey import ValkeyServer, running_valkey  # noqa: E402

COUNTS = (1, 2)
START_DEADLINE = 60.0


@contextmanager
def running(path: PathSpec, count: int, valkey: ValkeyServer, upstream_port: int) -> Iterator[Peer]:
    """The proxy with so many workers, in a process group of its own, not yet ready."""
    port, admin_port = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="fsproxy-bench-") as name:
        file = configs.write_fsproxy(Path(name), path, port, admin_port, upstream_port)
        redis = {"url": valkey.url, "prefix": f"{path.name}-{count}:"}
        config = json.loads(file.read_text()) | {"workers": count, "state": {"backend": "redis", "redis": redis}}
        file.write_text(json.dumps(config))
        with (Path(name) / "output").open("wb") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "fsproxy", "serve", "--config", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), "TMPDIR": name},
            )
        peer = Peer(str(count), port, _process=child)
        try:
            uvloop.run(ready(peer, admin_port))
            yield peer
        finally:
            peer.stop()


async def ready(peer: Peer, admin_port: int) -> None:
    """Waits until all workers listen."""
    async with asyncio.timeout(START_DEADLINE):
        while not await peers.is_ready("fsproxy", peer.port, admin_port):
            await asyncio.sleep(peers.POLL)


async def measure(path: PathSpec, fleet: list[Peer], options: argparse.Namespace, port: int) -> list[str]:
    """All rounds on one path: a line for each number of workers."""
    rates: dict[str, list[float]] = {peer.name: [] for peer in fleet}
    costs: dict[str, list[float]] = {peer.name: [] for peer in fleet}
    async with await start_upstream(port):
        loads = [Load(peer.port, path.requests(), path.expected, options.connections) for peer in fleet]
        for _ in range(options.rounds):
            for peer, load in zip(fleet, loads, strict=True):
                peer.refresh()
                spent: list[int] = []
                window = await load.measure(options.seconds, lambda s=spent, p=peer: s.append(process.cpu_ns(p.pids)))
                if window.problem is not None:
                    raise SystemExit(f"{path.name}, {peer.name} workers: {window.problem}")
                rates[peer.name].append(window.requests / window.seconds)
                costs[peer.name].append((spent[1] - spent[0]) / 1000 / window.requests)
    rate = {name: statistics.median(each) for name, each in rates.items()}
    cost = {name: statistics.median(each) for name, each in costs.items()}
    first = str(COUNTS[0])
    return [
        f"{path.name:<14} {name} workers  {rate[name]:>8.0f}/s  x{rate[name] / rate[first]:.2f}   "
        f"{cost[name]:>7.1f} us CPU a request  x{cost[name] / cost[first]:.2f}"
        for name in rates
    ]


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", default="block-10,forward,bundle", help="as run.py's")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    (upstream_port,) = free_ports(1)
    with running_valkey() as valkey:
        for path in configs.chosen(options.paths):
            with ExitStack() as stack:
                fleet = [stack.enter_context(running(path, count, valkey, upstream_port)) for count in COUNTS]
                print("\n".join(uvloop.run(measure(path, fleet, options, upstream_port))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
