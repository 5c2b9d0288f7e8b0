"""Mixed load for a while, with reloads, a store that restarts and an upstream that flaps: on Linux.

    python tests/benchmarks/soak.py [--minutes 10] [--rate 200] [--workers 2] [--store sentinel] [--seed 1] [--json FILE]

Recorders that behave as wire.md says, blocked pages, direct and server calls, sockets and other paths, against workers
that share a store (server, sentinel or cluster). Exit status 1, and what it was: a request that was lost or altered, a
recording that the proxy ended, a request without its one audit line, a failure while nothing was broken, a traceback, a
leak of memory, file descriptors or tasks. ``--quick`` takes 10 s, sees whether it works, and cannot tell a leak of memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]
import soak_visitors  # noqa: E402 - tests/support is on pytest's path alone
from soak_audit import AuditedArrivals, followed_audit  # noqa: E402
from soak_load import Load, SoakJournal  # noqa: E402
from soak_run import Soak  # noqa: E402
from soak_store import running_store  # noqa: E402
from soak_watch import WARM_UP, Watch, inside, watched  # noqa: E402
from support.faulty_link import FaultyLink  # noqa: E402
from support.proxy import running_proxy  # noqa: E402
from support.upstream import RecordingUpstream  # noqa: E402

QUICK_MINUTES = 11 / 60
MOST_SHOWN, MOST_CHARACTERS = 20, 300


async def soak(options: argparse.Namespace) -> dict[str, Any]:
    """Everything started, run, and stopped, also when the soak itself is told to end."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    arrivals, journal = AuditedArrivals(), SoakJournal()
    with (
        running_store(options.store, soak_visitors.ORG) as store,
        tempfile.TemporaryDirectory(prefix="fsproxy-soak-") as name,
    ):
        folder = Path(name)
        async with (
            RecordingUpstream() as upstream,
            FaultyLink(upstream.port) as link,
            followed_audit(folder, arrivals) as audit,
            aiohttp.ClientSession(
                auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0)
            ) as http,
        ):
            arrivals.attach(upstream)
            timeouts = {"connect": "1s", "response": "10s", "idle": "10s"}
            config = {
                **soak_visitors.RULES,
                "upstream": {"url": link.url, "timeouts": timeouts},
                "workers": options.workers,
                "state": {"backend": "redis", "redis": {**store.redis, "timeout": options.timeout}},
                "audit": {"to": audit, "share": dict.fromkeys(("page", "bundle", "direct", "other"), "100%")},
            }
            async with running_proxy(config, inside(folder, trace=options.trace)) as proxy:
                watch = await watched(http, proxy, folder)
                load = Load(proxy.url, http, arrivals, journal, soak_visitors.EACH / options.rate)
                figures = await Soak(options, proxy, store, link, upstream, load, watch).run()
                if options.objects or options.trace:
                    figures["objects"] = await objects(watch, folder)
                    figures["grown"] = {each.name: each.told()["grown"] for each in watch.processes}
                return {**figures, "samples": {each.name: list(map(asdict, each.samples)) for each in watch.processes}}


async def objects(watch: Watch, folder: Path) -> dict[str, dict[str, int]]:
    """The commonest types of objects in each process."""
    (folder / "objects").touch()
    async with asyncio.timeout(30):
        while not all("objects" in each.told() for each in watch.processes):
            await asyncio.sleep(0.2)
    return {each.name: each.told()["objects"] for each in watch.processes}


def report(figures: dict[str, Any]) -> str:
    """The figures as a table."""
    rows = []
    for name, value in figures.items():
        if name in {"samples", "problems", "objects", "grown"}:
            continue
        if isinstance(value, dict) and "rss_first" in value:
            rows += [f"{name}: {key.replace('_', ' '):<28} {_text(key, each)}" for key, each in value.items()]
        elif isinstance(value, dict):
            text = ", ".join(f"{key} {count}" for key, count in sorted(value.items())) or "none"
            rows.append(f"{name.replace('_', ' '):<28} {text}")
        else:
            rows.append(f"{name.replace('_', ' '):<28} {value}")
    return "\n".join(rows)


def _text(name: str, value: float | None) -> str:
    is_bytes = name.startswith(("rss_", "remembered_", "used_", "kept_")) or name == "grown_bytes"
    return f"{value / 2**20:.1f} MB" if is_bytes and value is not None else str(value)


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second, about")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--store", choices=("server", "sentinel", "cluster"), default="sentinel")
    parser.add_argument(
        "--timeout",
        default="2s",
        help="state.redis.timeout (default 2s: now and then a busy machine takes longer than fsproxy's default)",
    )
    parser.add_argument("--objects", action="store_true", help="at the end, the commonest objects of each process")
    parser.add_argument(
        "--warm-up", type=float, default=WARM_UP, help="of the time, before --trace begins (default %(default)s)"
    )
    parser.add_argument(
        "--trace", action="store_true", help="at the end, the lines of code whose memory has grown since the warm-up"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="10 s")
    options = parser.parse_args()
    if options.quick:
        options.minutes = QUICK_MINUTES
    # The upstream of the soak is told by its library whenever the proxy goes away, which is what a flap means.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL + 1)
    figures = asyncio.run(soak(options))
    print(report(figures))
    for name, lines in figures.get("grown", {}).items():
        for line, grown in lines.items():
            print(f"{name} has grown by {grown:>9} bytes: {line}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1))
    for problem in figures["problems"][:MOST_SHOWN]:
        print(f"PROBLEM: {problem[:MOST_CHARACTERS]}")
    print(f"{len(figures['problems'])} problems")
    return 1 if figures["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
