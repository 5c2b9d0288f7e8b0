"""Measures fsproxy beside plain aiohttp, nginx, HAProxy and any other proxy: one command, on Linux.

    python tests/benchmarks/run.py [--quick] [--paths block,forward] [--memory] [--json FILE]

Peers run on the first core, load and upstream on the last. Windows are short and go round the peers in turn, so
that what else the machine does falls on all alike. Compare ratios of one run, never numbers of two.
Exits 1 when anything was answered otherwise than it should be.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

import memory
import peers
import process
import report
from configs import PATHS, PathSpec, chosen
from load import Load, Window
from memory import Memory
from peers import Peer, PeerError
from report import Row, Sample
from upstream import start_upstream

QUICK_SECONDS, QUICK_ROUNDS = 0.2, 1
QUICK_PATHS = "block-10,forward,page,bundle,event-1k,socket"


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny windows: see whether it works, measure nothing")
    parser.add_argument("--paths", help=f"of {', '.join(PATHS)}; a prefix such as block stands for all it begins")
    parser.add_argument("--peers", help="of bare, naive, validating, nginx, haproxy, fsproxy (default: all there are)")
    parser.add_argument("--memory", action="store_true", help="measure memory instead, about a minute")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one window")
    parser.add_argument("--rounds", type=int, default=5, help="windows for each peer and path")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows here")
    parser.add_argument("--url", help="a proxy that runs already; it must forward to --upstream-port")
    parser.add_argument("--url-pid", type=int, help="its process, to count its CPU time")
    parser.add_argument("--upstream-port", type=int, default=0, help="where our upstream listens (default: anywhere)")
    options = parser.parse_args(words)
    if options.quick:
        options.seconds, options.rounds = QUICK_SECONDS, QUICK_ROUNDS
        options.paths = options.paths or QUICK_PATHS
    return options


def wanted_peers(path: PathSpec, options: argparse.Namespace) -> list[str]:
    """Who is measured on this path. A peer that was asked for by name and is missing is an error."""
    if options.peers is None:
        return [name for name in path.peers if peers.available(name)]
    asked = options.peers.split(",")
    for name in asked:
        if not peers.available(name):
            raise SystemExit(f"{name} is not installed")
    return [name for name in path.peers if name in asked]


async def measure_path(path: PathSpec, options: argparse.Namespace, upstream_port: int) -> list[Row]:
    """All rounds of all peers on one path."""
    core, _ = process.cores()
    running: list[Peer] = []
    rows: dict[str, Row] = {}
    try:
        for name in wanted_peers(path, options):
            rows[name] = Row(path, name)
            try:
                running.append(await peers.start(name, path, upstream_port, core))
            except PeerError as error:
                rows[name].problems.append(str(error))
        if options.url and not path.is_static:
            port = urlsplit(options.url).port or 80
            running.append(Peer(options.url, port, [options.url_pid] if options.url_pid else []))
            rows[options.url] = Row(path, options.url)
        upgrade = path.upgrade() if path.upgrade else None
        loads = {
            peer.name: Load(peer.port, path.requests(), path.expected, options.connections, upgrade) for peer in running
        }
        gc.collect()
        gc.freeze()
        for _ in range(options.rounds):
            for peer in running:
                await measure_window(peer, loads[peer.name], rows[peer.name], options.seconds)
    finally:
        for peer in running:
            peer.stop()
    return list(rows.values())


async def measure_window(peer: Peer, load: Load, row: Row, seconds: float) -> None:
    """One window of one peer, into its row."""
    peer.refresh()
    spent: list[int] = []
    try:
        window = await load.measure(seconds, lambda: spent.append(process.cpu_ns(peer.pids)))
    except OSError as error:
        row.problems.append(f"{type(error).__name__}: {error}")
        return
    if window.problem is not None:
        row.problems.append(window.problem)
    if window.requests:
        row.samples.append(as_sample(window, spent[1] - spent[0] if peer.pids else None))
    row.rss = max(row.rss, process.peak_rss(peer.pids))
    peer.forget_audit()


def as_sample(window: Window, cpu_ns: int | None) -> Sample:
    """What a window comes to."""
    return Sample(
        rps=window.requests / window.seconds,
        cpu_us=cpu_ns / 1000 / window.requests if cpu_ns is not None else None,
        p50_ms=window.percentile(0.50) * 1000,
        p99_ms=window.percentile(0.99) * 1000,
    )


async def run(options: argparse.Namespace) -> list[Row]:
    """Every path in turn."""
    rows: list[Row] = []
    async with await start_upstream(options.upstream_port) as server:
        port: int = server.sockets[0].getsockname()[1]
        for path in chosen(options.paths):
            sys.stderr.write(f"{path.name}: {path.meaning}\n")
            rows += await measure_path(path, options, port)
    return rows


async def run_memory(options: argparse.Namespace) -> tuple[list[Memory], list[str]]:
    """Every peer's memory, and what went wrong."""
    core, _ = process.cores()
    found, problems = [], []
    async with await start_upstream(options.upstream_port) as server:
        port: int = server.sockets[0].getsockname()[1]
        for name in options.peers.split(",") if options.peers else filter(peers.available, memory.PEERS):
            try:
                found.append(await memory.measure_memory(name, port, core))
            except (PeerError, OSError, asyncio.IncompleteReadError) as error:
                problems.append(f"memory {name}: {error}")
    return found, problems


def main() -> int:
    """The exit status."""
    options = arguments()
    _, core = process.cores()
    os.sched_setaffinity(0, {core})
    if options.memory:
        found, problems = uvloop.run(run_memory(options))
        text = [one.line() for one in found]
        whole = [one.as_json() for one in found]
    else:
        rows = uvloop.run(run(options))
        problems = [f"{row.path.name} {row.peer}: {problem}" for row in rows for problem in row.problems]
        text = [report.table(rows), report.growth(rows) or ""]
        whole = report.as_json(rows)
    sys.stdout.write("\n".join(text).rstrip() + "\n")
    if options.json:
        options.json.write_text(json.dumps(whole, indent=1) + "\n")
    sys.stderr.write("".join(f"{problem}\n" for problem in problems))
    return 1 if problems or not whole else 0


if __name__ == "__main__":
    sys.exit(main())
