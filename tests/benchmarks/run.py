"""Measures fsproxy beside plain aiohttp, nginx, another checkout and any other proxy: one command, on Linux.

    python tests/benchmarks/run.py [--quick] [--paths block,forward] [--other FOLDER] [--json FILE]

CPU time a request is what counts. Peers run on the first core, load and upstream on the last. Windows are short and go
round the peers in turn, so that what else the machine does falls on all alike. No two pages have the same head, and the
upstream answers a page with the page's own ids. Compare ratios of one run, never numbers of two.
Exits 1 when anything was answered otherwise than it should be.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import configs
import peers
import process
import report
from configs import PATHS, PathSpec, Setup, chosen
from load import Load
from peers import Peer, PeerError
from report import Row, Sample
from upstream import running_upstream

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.valkey import running_valkey

QUICK_SECONDS, QUICK_ROUNDS, QUICK_RULES = 0.2, 1, 1000
OTHER = {"fsproxy": "other", "redis": "other-redis", "redact": "other-redact"}
"""The same of another checkout."""


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny windows: see whether it works, measure nothing")
    parser.add_argument("--paths", help=f"of {', '.join(PATHS)}; a prefix such as block stands for all it begins")
    parser.add_argument("--peers", help="of direct, bare, naive, validating, nginx (default: all there are)")
    parser.add_argument("--other", type=Path, metavar="FOLDER", help="another checkout, measured in the same windows")
    parser.add_argument("--seconds", type=float, default=1.0, help="of one window")
    parser.add_argument("--rounds", type=int, default=7, help="windows for each peer and path, after one that warms up")
    parser.add_argument("--rate", type=float, help="requests a second, on all paths: an open loop")
    parser.add_argument("--rules", type=int, default=100_000, help="networks, and at most 1,000 and 10,000 others")
    parser.add_argument("--redis", metavar="URL", help="for the paths that need one (default: starts a Valkey)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows here")
    parser.add_argument("--url", help="a proxy that runs already; it must forward to --upstream-port")
    parser.add_argument("--url-pid", type=int, help="its process, to count its CPU time")
    parser.add_argument("--upstream-port", type=int, default=0, help="where our upstream listens (default: anywhere)")
    options = parser.parse_args(words)
    if options.quick:
        options.seconds, options.rounds, options.rules = QUICK_SECONDS, QUICK_ROUNDS, QUICK_RULES
    return options


def measured_on(path: PathSpec, options: argparse.Namespace) -> list[str]:
    """Who is measured on this path. A peer that was asked for by name and is missing is an error."""
    asked = options.peers.split(",") if options.peers is not None else None
    for name in asked or ():
        if not peers.available(name):
            raise SystemExit(f"{name} is not installed")
    others = [name for name in path.peers if (name in asked if asked is not None else peers.available(name))]
    if path.ours != "fsproxy" and "fsproxy" in path.peers and "fsproxy" not in others:
        others.append("fsproxy")
    mine = [path.ours, *([OTHER[path.ours]] if options.other else [])]
    return [*others, *mine, *([options.url] if options.url and not path.is_static else [])]


class Bench:
    """All peers that were started so far."""

    def __init__(self, options: argparse.Namespace, stack: ExitStack) -> None:
        self._options = options
        self._stack = stack
        self._upstream_port = stack.enter_context(running_upstream(options.upstream_port)).port
        self._running: dict[str, Peer] = {}
        self._redis: str | None = options.redis

    def peer(self, name: str) -> Peer:
        """The peer of this name, started if need be. Raises PeerError."""
        if name not in self._running:
            self._running[name] = self._started(name)
        return self._running[name]

    def _started(self, name: str) -> Peer:
        options = self._options
        if name == "direct":
            return Peer(name, self._upstream_port)
        if name == options.url:
            pids = [options.url_pid] if options.url_pid else []
            return Peer(name, urlsplit(name).port or 80, pids)
        setup = Setup(options.rules)
        if name.endswith("redis"):
            if self._redis is None:
                self._redis = self._stack.enter_context(running_valkey()).url
            setup = replace(setup, state=configs.in_redis(self._redis, f"{name}-{os.getpid()}:"))
        if name.endswith("redact"):
            setup = replace(setup, redacts=configs.REDACTED)
        checkout = options.other.resolve() if name.startswith("other") else peers.ROOT
        peer = peers.start(name, setup, self._upstream_port, process.cores()[:1], checkout)
        self._stack.callback(peer.stop)
        return peer

    def path(self, path: PathSpec) -> list[Row]:
        """All rounds of all peers on one path."""
        options = self._options
        rows = [Row(path, name) for name in measured_on(path, options)]
        upgrade = path.upgrade() if path.upgrade else None
        turns: list[tuple[Peer, Load, Row]] = []
        for row in rows:
            try:
                peer = self.peer(row.peer)
            except PeerError as error:
                row.problems.append(str(error))
                continue
            port = peer.static_port if path.is_static and peer.static_port else peer.port
            rate = options.rate or path.rate
            turns.append((peer, Load(port, path.requests(), path.expected, path.connections, upgrade, rate), row))
        gc.collect()
        for number in range(options.rounds + 1):
            # Who comes second finds the core as the first has left it.
            for peer, load, row in turns if number % 2 else reversed(turns):
                measure_window(peer, load, row, options.seconds)
        for _, _, row in turns:
            del row.samples[:1]
        return rows


def measure_window(peer: Peer, load: Load, row: Row, seconds: float) -> None:
    """One window of one peer, into its row."""
    peer.refresh()
    spent: list[int] = []
    try:
        window = load.measure(seconds, lambda: spent.append(process.cpu_ns(peer.pids)))
    except OSError as error:
        row.problems.append(f"{type(error).__name__}: {error}")
        return
    if window.problem is not None:
        row.problems.append(window.problem)
    if window.requests:
        row.samples.append(Sample.of(window, spent[1] - spent[0] if peer.pids else None))
    row.rss = max(row.rss, process.peak_rss(peer.pids))
    peer.forget_audit()


def main() -> int:
    """The exit status."""
    options = arguments()
    paths = chosen(options.paths)
    os.sched_setaffinity(0, {process.cores()[1]})
    rows: list[Row] = []
    with ExitStack() as stack:
        bench = Bench(options, stack)
        for path in paths:
            sys.stderr.write(f"{path.name}: {path.meaning}\n")
            rows += bench.path(path)
    problems = [f"{row.path.name} {row.peer}: {problem}" for row in rows for problem in row.problems]
    print(report.table(rows))
    if options.json:
        options.json.write_text(json.dumps(report.as_json(rows), indent=1) + "\n")
    sys.stderr.write("".join(f"{problem}\n" for problem in problems))
    return 1 if problems or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
