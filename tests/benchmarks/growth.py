"""Cost that does not grow: what a request costs fsproxy with little and with much of something, side by side, on Linux.

    python tests/benchmarks/growth.py [--quick] [--pairs rules,sessions] [--json FILE]

Both programs of a pair run at the same time, on one core, and are measured in turn, window by window: what else the
machine does falls on both alike. ``growth`` is the median, over the rounds, of CPU time a request of the one with much
by that of the one with little. The pair ``control`` has nothing to grow: how far it is from 1 is what the machine
makes of it. The pair ``workers`` is of one and two workers over one Valkey, on all cores: where there are only two, the
load takes its part of them. Exits 1 when anything was answered otherwise than it should be.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import configs
import memory
import payloads
import peers
import process
import run
from configs import PATHS, PathSpec, Setup
from fsproxy.clock import now as wall_clock
from fsproxy.core.limits.operations import Mark
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.sqlite.file import LedgerFile
from load import Load
from payloads import Requests
from peers import PeerError
from report import Row
from support.ledgers import at_once
from support.valkey import running_valkey
from upstream import running_upstream

TARGET = 1.1
PART = 50_000
"""Sessions that are written to a state file at once."""
QUICK_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two programs of a pair."""

    label: str
    setup: Setup
    requests: Callable[[], Requests]
    idle: int = 0
    """Connections that are open and carry nothing, but one page each at first."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What is compared."""

    name: str
    meaning: str
    path: PathSpec
    little: Side
    much: Side
    pinned: bool = True
    """Both on one core; otherwise they have all cores."""


FEW = Setup(rules=10)


def remembered(sessions: int) -> Side:
    """Pages of sessions under way, all of which a program before has left behind. Nothing is written meanwhile."""

    def state(folder: Path) -> dict[str, Any]:
        file = folder / "state.sqlite"
        kept = LedgerFile.open(file)
        for first in range(0, sessions, PART):
            ledger = MemoryLedger(journal=True)
            now = wall_clock()
            for number in range(first, min(first + PART, sessions)):
                at_once(ledger, (Mark(payloads.ORG, payloads.session_id(number), ""),), now)
            kept.write(ledger.drain())
        kept.close()
        return {"persist": {"path": str(file), "every": "1h"}}

    return Side(f"{sessions:,}", Setup(10, state), lambda: payloads.pages_of(sessions))


def pairs(share: float, redis: Callable[[], str]) -> list[Pair]:
    """All pairs; ``share`` of what is much. ``redis`` gives the URL of a Redis that is empty."""
    idle = int(10_000 * share)
    block, forward = PATHS["block"], PATHS["forward"]

    def judged(rules: int) -> Side:
        return Side(f"{rules:,}", Setup(rules), block.requests)

    def shared(count: int) -> Side:
        def state(folder: Path) -> dict[str, Any]:
            return configs.in_redis(redis(), f"{count}-{os.getpid()}:")(folder)

        return Side(f"{count}", Setup(10, state, count), forward.requests)

    return [
        Pair("control", "10 rules of each kind, twice", block, judged(10), judged(10)),
        Pair(
            "rules",
            "page blocked by the last of all filters, rules of each kind",
            block,
            judged(10),
            judged(int(100_000 * share)),
        ),
        Pair(
            "sessions",
            "page of a session under way, forwarded; sessions remembered",
            forward,
            remembered(10),
            remembered(int(1_000_000 * share)),
        ),
        Pair(
            "connections",
            "page of a session under way, forwarded; idle connections",
            forward,
            Side("1", FEW, forward.requests, idle=1),
            Side(f"{idle:,}", FEW, forward.requests, idle=idle),
        ),
        Pair("workers", "page of a session under way, forwarded; workers", forward, shared(1), shared(2), pinned=False),
    ]


@dataclass(slots=True)
class Grown:
    """What a pair came to."""

    pair: Pair
    little: Row = field(init=False)
    much: Row = field(init=False)

    def __post_init__(self) -> None:
        self.little, self.much = Row(self.pair.path, "fsproxy"), Row(self.pair.path, "fsproxy")

    @property
    def problems(self) -> list[str]:
        """What went wrong."""
        return [
            f"{self.pair.name} {side.label}: {problem}"
            for side, row in ((self.pair.little, self.little), (self.pair.much, self.much))
            for problem in row.problems
        ]

    def ratios(self, name: str = "cpu_us") -> list[float]:
        """Of each round."""
        both = zip(self.little.values(name), self.much.values(name), strict=False)
        return [much / little for little, much in both if little]

    def as_json(self) -> dict[str, Any]:
        """A row for a file."""
        ratios = self.ratios()
        return {
            "pair": self.pair.name,
            "little": {"of": self.pair.little.label, "cpu_us": self.little.middle("cpu_us"), "rss": self.little.rss},
            "much": {"of": self.pair.much.label, "cpu_us": self.much.middle("cpu_us"), "rss": self.much.rss},
            "growth": median(ratios) if ratios else None,
            "growth_of_rounds": ratios,
            "throughput": median(self.ratios("rps") or [0.0]),
            "problems": self.problems,
        }

    def line(self) -> str:
        """For people."""
        little, much, ratios = self.little.middle("cpu_us"), self.much.middle("cpu_us"), self.ratios()
        if not ratios or little is None or much is None:
            return f"{self.pair.name:12} FAILED"
        growth = median(ratios)
        verdict = "" if growth <= TARGET else f"  over {TARGET}"
        return (
            f"{self.pair.name:12} {self.pair.little.label:>4} {little:8.1f} us   {self.pair.much.label:>9} {much:8.1f} us"
            f"   growth {growth:.2f} ({min(ratios):.2f}-{max(ratios):.2f}){verdict}"
            f"   requests a second x{median(self.ratios('rps')):.2f}"
        )


def measure(pair: Pair, options: argparse.Namespace, upstream_port: int) -> Grown:
    """Both sides, in turn."""
    cores = process.cores()[:1] if pair.pinned else process.cores()
    grown = Grown(pair)
    turns = []
    with ExitStack() as stack:
        for side, row in ((pair.little, grown.little), (pair.much, grown.much)):
            try:
                peer = peers.start("fsproxy", side.setup, upstream_port, cores)
                stack.callback(peer.stop)
                for sock in memory.open_idle(peer.port, side.idle):
                    stack.callback(sock.close)
            except (PeerError, OSError) as error:
                row.problems.append(f"{type(error).__name__}: {error}")
                return grown
            turns.append((peer, Load(peer.port, side.requests(), pair.path.expected, options.connections), row))
        gc.collect()
        for number in range(options.rounds):
            # Who comes second finds the core as the first has left it.
            for peer, load, row in turns if number % 2 else reversed(turns):
                run.measure_window(peer, load, row, options.seconds)
    return grown


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="see whether it works, with a hundredth of everything")
    parser.add_argument("--pairs", help="of control, rules, sessions, connections, workers (default: all)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one window")
    parser.add_argument("--rounds", type=int, default=21, help="windows of each side")
    parser.add_argument("--connections", type=int, default=16, help="that carry the load")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows here")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds = run.QUICK_SECONDS, run.QUICK_ROUNDS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {process.cores()[1]})
    found: list[Grown] = []
    with ExitStack() as stack:
        every = {
            pair.name: pair
            for pair in pairs(QUICK_SHARE if options.quick else 1.0, lambda: stack.enter_context(running_valkey()).url)
        }
        names = options.pairs.split(",") if options.pairs else list(every)
        if unknown := [name for name in names if name not in every]:
            parser.error(f"unknown pair {unknown[0]}; there are: {', '.join(every)}")
        port = stack.enter_context(running_upstream()).port
        for name in names:
            sys.stderr.write(f"{name}: {every[name].meaning}\n")
            found.append(measure(every[name], options, port))
            print(found[-1].line(), flush=True)
    if options.json:
        options.json.write_text(json.dumps([grown.as_json() for grown in found], indent=1) + "\n")
    problems = [problem for grown in found for problem in grown.problems]
    sys.stderr.write("".join(f"{problem}\n" for problem in problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
