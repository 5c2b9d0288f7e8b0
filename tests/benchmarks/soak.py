"""Mixed load for a while, with reloads, a store that restarts and an upstream that flaps: on Linux.

    python tests/benchmarks/soak.py [--minutes 10] [--rate 200] [--seed 1] [--json FILE]

Recorders that behave as wire.md says, blocked pages, direct and server calls, sockets and other paths, against one
proxy over one Valkey. Exit status 1, and what it was: a request that was lost or altered, a recording that the proxy
ended, a request without its one audit line, a failure while nothing was broken, a traceback, a leak of memory, file
descriptors or tasks. ``--quick`` takes 10 s, sees whether it works, and cannot tell a leak of memory.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]
import soak_visitors  # noqa: E402 - tests/support is on pytest's path alone
from soak_load import AuditedArrivals, Load, SoakJournal  # noqa: E402
from soak_run import Soak  # noqa: E402
from soak_watch import Watch  # noqa: E402
from support import launch  # noqa: E402
from support.faulty_link import FaultyLink  # noqa: E402
from support.proxy import running_proxy  # noqa: E402
from support.upstream import RecordingUpstream  # noqa: E402
from support.valkey import running_valkey  # noqa: E402

COMMAND = (sys.executable, launch.__file__, "serve")
QUICK_MINUTES = 11 / 60
MOST_SHOWN = 20


@contextlib.asynccontextmanager
async def audit_pipe(folder: Path, arrivals: AuditedArrivals) -> AsyncIterator[str]:
    """A named pipe for audit lines, read as they come: a soak's lines would fill a disk."""
    path = folder / "audit"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # also for writing: no end of file at a reopening
    reader = asyncio.StreamReader(limit=2**22)
    with os.fdopen(descriptor, "rb", buffering=0) as pipe:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )

        async def read() -> None:
            while line := await reader.readline():
                arrivals.line(json.loads(line)["http.request.id"])

        reading = asyncio.get_running_loop().create_task(read())
        try:
            yield str(path)
        finally:
            reading.cancel()
            transport.close()


async def soak(options: argparse.Namespace) -> dict[str, Any]:
    """Everything started, run, and stopped, also when the soak itself is told to end."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    arrivals, journal = AuditedArrivals(), SoakJournal()
    with running_valkey() as valkey, tempfile.TemporaryDirectory(prefix="fsproxy-soak-") as name:
        folder = Path(name)
        async with (
            RecordingUpstream() as upstream,
            FaultyLink(upstream.port) as link,
            audit_pipe(folder, arrivals) as audit,
            aiohttp.ClientSession(
                auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0)
            ) as http,
        ):
            arrivals.attach(upstream)
            timeouts = {"connect": "1s", "response": "10s", "idle": "10s"}
            config = {
                **soak_visitors.RULES,
                "upstream": {"url": link.url, "timeouts": timeouts},
                "state": {"backend": "redis", "redis": {"url": valkey.url}},
                "audit": {"to": audit, "share": dict.fromkeys(("page", "bundle", "direct", "other"), "100%")},
            }
            env = {"WORLD_TASKS": str(folder / "tasks")}
            async with running_proxy(config, env, command=COMMAND) as proxy:
                while not (folder / "tasks").exists():
                    await asyncio.sleep(0.05)
                load = Load(proxy.url, http, arrivals, journal, soak_visitors.EACH / options.rate)
                watch = Watch(proxy.process.pid, folder / "tasks", asyncio.get_running_loop().time())
                run = Soak(options, proxy, valkey, link, upstream, load, watch)
                figures = await run.run()
                return {**figures, "samples": watch.as_rows()}


def report(figures: dict[str, Any]) -> str:
    """The figures as a table."""
    rows = []
    for name, value in figures.items():
        if name in {"samples", "problems"}:
            continue
        text = f"{value / 2**20:.1f} MB" if name.startswith(("rss_", "remembered_")) else value
        if isinstance(value, dict):
            text = ", ".join(f"{key} {count}" for key, count in sorted(value.items())) or "none"
        rows.append(f"{name.replace('_', ' '):<28} {text}")
    return "\n".join(rows)


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second, about")
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
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1))
    for problem in figures["problems"][:MOST_SHOWN]:
        print(f"PROBLEM: {problem}")
    print(f"{len(figures['problems'])} problems")
    return 1 if figures["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
