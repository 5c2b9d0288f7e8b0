"""Cost that does not grow: what a request costs fsproxy with little and with much of something, side by side, on Linux.

    python tests/benchmarks/growth.py [--quick] [--pairs rules,sessions] [--json FILE]

Both programs of a pair run at the same time, on one core, and are measured in turn, window by window: what else the
machine does falls on both alike. ``growth`` is the median, over the rounds, of CPU time a request of the one with much
by that of the one with little. The pair ``control`` has nothing to grow: how far it is from 1 is what the machine
makes of it. Exits 1 when anything was answered otherwise than it should be.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

import memory
import payloads
import peers
import process
import run
from configs import PATHS, PathSpec
from fsproxy.clock import now as wall_clock
from fsproxy.core.limits.operations import Mark
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.sqlite.file import LedgerFile
from load import Load
from peers import Peer, PeerError
from report import Row
from support.ledgers import at_once
from upstream import start_upstream

TARGET = 1.1
PART = 50_000
"""Sessions that are written to a state file at once."""
QUICK_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two programs of a pair."""

    label: str
    path: PathSpec
    idle: int = 0
    """Connections that are open and carry nothing, but one page each at first."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What is compared."""

    name: str
    meaning: str
    little: Side
    much: Side


def remembered(sessions: int) -> PathSpec:
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

    return replace(PATHS["page"], requests=lambda: payloads.pages_of(sessions), state=state)


def _judged(rules: int) -> Side:
    return Side(f"{rules:,}", replace(PATHS["block-10"], rules=rules))


def pairs(share: float) -> list[Pair]:
    """All pairs; ``share`` of what is much."""
    rules, sessions, idle = int(100_000 * share), int(1_000_000 * share), int(10_000 * share)
    under_way = PATHS["forward"]
    return [
        Pair("control", "10 rules of each kind, twice", _judged(10), _judged(10)),
        Pair("rules", "page blocked by the last of all filters, rules of each kind", _judged(10), _judged(rules)),
        Pair(
            "sessions",
            "page of a session under way, forwarded; sessions remembered",
            Side("10", remembered(10)),
            Side(f"{sessions:,}", remembered(sessions)),
        ),
        Pair(
            "connections",
            "page of a session under way, forwarded; idle connections",
            Side("1", under_way, idle=1),
            Side(f"{idle:,}", under_way, idle=idle),
        ),
    ]


@dataclass(slots=True)
class Grown:
    """What a pair came to."""

    pair: Pair
    little: Row
    much: Row

    @property
    def problems(self) -> list[str]:
        """What went wrong."""
        return [
            f"{self.pair.name} {side.label}: {problem}"
            for side, row in ((self.pair.little, self.little), (self.pair.much, self.much))
            for problem in row.problems
        ]

    @property
    def ratios(self) -> list[float]:
        """Of each round."""
        both = zip(self.little.values("cpu_us"), self.much.values("cpu_us"), strict=False)
        return [much / little for little, much in both if little]

    def as_json(self) -> dict[str, Any]:
        """A row for a file."""
        return {
            "pair": self.pair.name,
            "little": {"of": self.pair.little.label, "cpu_us": self.little.middle("cpu_us"), "rss": self.little.rss},
            "much": {"of": self.pair.much.label, "cpu_us": self.much.middle("cpu_us"), "rss": self.much.rss},
            "growth": median(self.ratios) if self.ratios else None,
            "growth_of_rounds": self.ratios,
            "problems": self.problems,
        }

    def line(self) -> str:
        """For people."""
        little, much = self.little.middle("cpu_us"), self.much.middle("cpu_us")
        if not self.ratios or little is None or much is None:
            return f"{self.pair.name:12} FAILED"
        growth = median(self.ratios)
        verdict = "" if growth <= TARGET else f"  over {TARGET}"
        return (
            f"{self.pair.name:12} {self.pair.little.label:>4} {little:8.1f} us   {self.pair.much.label:>9} {much:8.1f} us"
            f"   growth {growth:.2f} ({min(self.ratios):.2f}-{max(self.ratios):.2f}){verdict}"
        )


async def measure(pair: Pair, options: argparse.Namespace, upstream_port: int) -> Grown:
    """Both sides, in turn."""
    core, _ = process.cores()
    grown = Grown(pair, Row(pair.little.path, "fsproxy"), Row(pair.much.path, "fsproxy"))
    sides = ((pair.little, grown.little), (pair.much, grown.much))
    running: list[Peer] = []
    idle: list[asyncio.StreamWriter] = []
    try:
        for side, row in sides:
            try:
                running.append(await peers.start("fsproxy", side.path, upstream_port, core))
                idle += await memory.open_idle(running[-1].port, side.idle)
            except (PeerError, OSError, asyncio.IncompleteReadError) as error:
                row.problems.append(f"{type(error).__name__}: {error}")
                return grown
        loads = [
            Load(peer.port, side.path.requests(), side.path.expected, options.connections)
            for peer, (side, _) in zip(running, sides, strict=True)
        ]
        gc.collect()
        gc.freeze()
        for number in range(options.rounds):
            turns = list(zip(running, loads, sides, strict=True))
            # Who comes second finds the core as the first has left it.
            for peer, load, (_, row) in turns if number % 2 else reversed(turns):
                await run.measure_window(peer, load, row, options.seconds)
    finally:
        for writer in idle:
            writer.close()
        for peer in running:
            peer.stop()
    return grown


async def measure_all(
    wanted: Sequence[Pair], options: argparse.Namespace, tell: Callable[[Grown], None]
) -> list[Grown]:
    """One pair after the other."""
    found = []
    async with await start_upstream(0, one_session=True) as server:
        port: int = server.sockets[0].getsockname()[1]
        for pair in wanted:
            sys.stderr.write(f"{pair.name}: {pair.meaning}\n")
            found.append(await measure(pair, options, port))
            tell(found[-1])
    return found


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="see whether it works, with a hundredth of everything")
    parser.add_argument("--pairs", help="of control, rules, sessions, connections (default: all)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one window")
    parser.add_argument("--rounds", type=int, default=21, help="windows of each side")
    parser.add_argument("--connections", type=int, default=16, help="that carry the load")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows here")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds = run.QUICK_SECONDS, run.QUICK_ROUNDS
    every = {pair.name: pair for pair in pairs(QUICK_SHARE if options.quick else 1.0)}
    names = options.pairs.split(",") if options.pairs else list(every)
    if unknown := [name for name in names if name not in every]:
        parser.error(f"unknown pair {unknown[0]}; there are: {', '.join(every)}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {process.cores()[1]})
    found = uvloop.run(
        measure_all([every[name] for name in names], options, lambda grown: print(grown.line(), flush=True))
    )
    if options.json:
        options.json.write_text(json.dumps([grown.as_json() for grown in found], indent=1) + "\n")
    problems = [problem for grown in found for problem in grown.problems]
    sys.stderr.write("".join(f"{problem}\n" for problem in problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
