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
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]
import soak_load  # noqa: E402 - tests/support is on pytest's path alone
from soak_load import AuditedArrivals, Load, SoakJournal  # noqa: E402
from soak_watch import Watch, metrics  # noqa: E402
from support import launch  # noqa: E402
from support.faulty_link import Fault, FaultyLink  # noqa: E402
from support.proxy import RunningProxy, running_proxy  # noqa: E402
from support.upstream import RecordingUpstream  # noqa: E402
from support.valkey import ValkeyServer, running_valkey  # noqa: E402

COMMAND = (sys.executable, launch.__file__, "serve")
FLAPS = (
    Fault.REFUSE,
    Fault.RESET_AT_ONCE,
    Fault.RESET,
    Fault.LOSE_ANSWER,
    Fault.CUT,
    Fault.RESET_IN_ANSWER,
    Fault.HANG,
    Fault.GARBAGE,
    Fault.SLOW,
)
STEPS = ("flap", "store killed", "flap", "reload", "flap", "store hangs", "flap", "bad reload")
QUICK_MINUTES = 11 / 60
LOOKS = 240
"""At the process, in all."""
MOST_SHOWN = 20


@dataclass
class Soak:
    """One run."""

    options: argparse.Namespace
    proxy: RunningProxy
    valkey: ValkeyServer
    link: FaultyLink
    upstream: RecordingUpstream
    load: Load
    watch: Watch
    done: Counter[str] = field(default_factory=Counter)
    """Faults, by what was done."""
    log_read: int = 0
    log_faults: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it is to take."""
        return float(self.options.minutes * 60)

    async def run(self) -> dict[str, Any]:
        """Load and faults for the given time, then rest; the figures."""
        loop = asyncio.get_running_loop()
        before = self.watch.look(0)
        end = loop.time() + self.seconds
        async with asyncio.TaskGroup() as group:
            for visitor, count in soak_load.VISITORS:
                for number in range(count):
                    group.create_task(_awaited(visitor, self.load, Random(f"{self.options.seed} {visitor} {number}")))
            looking = group.create_task(self._look())
            await self._break_things(end)
            self.load.enough = True
            looking.cancel()
        await self.load.http.close()
        async with aiohttp.ClientSession() as http:
            counted = await self._rest(http)
        after = self.watch.samples[-1]
        self._read_log()
        return self._figures(counted, self._problems(counted, before, after))

    # -- while it runs

    async def _look(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(self.seconds / LOOKS)
                self.watch.look(self.load.arrivals.settled)
                self.upstream.frames.clear()
                self._read_log()

    def _read_log(self) -> None:
        """Tracebacks, and faults that were survived, as they come."""
        text = self.proxy.log_text()
        for line in text[self.log_read :].splitlines():
            if "Traceback" in line or "a fault of ours" in line or "fault of ours" in line:
                self.log_faults.append(line[:300])
        self.log_read = len(text)

    async def _break_things(self, end: float) -> None:
        loop, chances = asyncio.get_running_loop(), Random(self.options.seed)
        good = json.loads(self.proxy.config_path.read_text())
        pause = min(10.0, self.seconds / 12)
        number = 0
        while loop.time() + pause < end:
            await asyncio.sleep(pause * (0.5 + chances.random() / 2))
            step = STEPS[number % len(STEPS)]
            number += 1
            lasts = min(2.0, pause / 2) * (0.5 + chances.random() / 2)
            match step:
                case "flap":
                    fault = FLAPS[number // 2 % len(FLAPS)]
                    step = f"upstream: {fault}"
                    await self._flap(fault, lasts)
                case "store killed":
                    self.valkey.kill()
                    await asyncio.sleep(lasts)
                    await asyncio.to_thread(self.valkey.start)
                case "store hangs":
                    self.valkey.pause()
                    await asyncio.sleep(lasts)
                    self.valkey.resume()
                case "reload":
                    addresses = [*good["filters"]["ip"]["block"], f"192.0.2.{number % 250}"]
                    self.proxy.write_config({**good, "filters": {**good["filters"], "ip": {"block": addresses}}})
                case _:
                    self.proxy.config_path.write_text("upstream: {url: [")
                    await asyncio.sleep(lasts)
                    self.proxy.write_config(good)
            self.done[step] += 1
        await asyncio.sleep(max(0.0, end - loop.time()))

    async def _flap(self, fault: Fault, seconds: float) -> None:
        trouble = self.load.journal.trouble
        trouble.on = True
        await self.link.set(fault)
        await asyncio.sleep(seconds)
        await self.link.set(Fault.NONE)
        trouble.end()

    # -- afterwards

    async def _rest(self, http: aiohttp.ClientSession) -> dict[str, float]:
        """Until all visitors' connections are closed and nothing is under way, or for 10 s."""
        counted: dict[str, float] = {}
        for _ in range(20):
            await asyncio.sleep(0.5)
            self.watch.look(self.load.arrivals.settled)
            counted = await metrics(http, self.proxy.admin_url)
            if not counted["fsproxy_in_flight"] and not self.load.arrivals.without_line:
                break
        # The upstream's connections that are kept for reuse are no leak: without an upstream there are none.
        await self.link.set(Fault.REFUSE)
        await asyncio.sleep(1.0)
        self.watch.look(self.load.arrivals.settled)
        return counted

    def _problems(self, counted: dict[str, float], before: Any, after: Any) -> list[str]:
        load, found = self.load, []
        found += [f"recording ended: {each}" for each in load.journal.ended]
        found += [f"lost or altered: {each}" for each in load.arrivals.faults]
        found += load.problems
        found += [f"log: {each}" for each in self.log_faults]
        if load.arrivals.without_line:
            found.append(f"{load.arrivals.without_line} requests were answered and have no audit line")
        if counted["fsproxy_in_flight"]:
            found.append(f"{counted['fsproxy_in_flight']:.0f} requests are still under way")
        for name, value in counted.items():
            if name.startswith(("fsproxy_own_failures", "fsproxy_audit_lines_dropped_total")) and value:
                found.append(f"{name} is {value:.0f}")
        return found + self.watch.leaks(before, after)

    def _figures(self, counted: dict[str, float], problems: list[str]) -> dict[str, Any]:
        load, arrivals = self.load, self.load.arrivals
        latency = counted["fsproxy_own_latency_seconds_sum"] / max(counted["fsproxy_own_latency_seconds_count"], 1)
        return {
            "minutes": round(self.options.minutes, 2),
            "requests": arrivals.settled,
            "requests_a_second": round(arrivals.settled / self.seconds, 1),
            "frames": load.frames,
            "pages_recorded": load.journal.started,
            "pages_refused_while_broken": load.journal.refused.total(),
            "uploads_delivered": load.journal.delivered,
            "uploads_tried_again": {str(key): value for key, value in load.journal.retries.items()},
            "other_requests": dict(load.sent),
            "failed_while_broken": dict(load.failed),
            "recordings_ended": len(load.journal.ended),
            "lost_or_altered": len(arrivals.faults),
            "audit_lines": arrivals.lines,
            "done": dict(self.done),
            "generations": counted["fsproxy_config_generation"],
            "own_latency_mean_ms": round(latency * 1000, 3),
            **self.watch.figures(),
            "problems": problems,
        }


async def _awaited(visitor: soak_load.Visitor, load: Load, random: Random) -> None:
    await visitor(load, random)


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
    """Everything started, run, and stopped."""
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
            timeouts = {"connect": "1s", "response": "1s", "idle": "10s"}
            config = {
                **soak_load.RULES,
                "upstream": {"url": link.url, "timeouts": timeouts},
                "state": {"backend": "redis", "redis": {"url": valkey.url}},
                "audit": {"to": audit, "share": dict.fromkeys(("page", "bundle", "direct", "other"), "100%")},
            }
            env = {"WORLD_TASKS": str(folder / "tasks")}
            async with running_proxy(config, env, command=COMMAND) as proxy:
                while not (folder / "tasks").exists():
                    await asyncio.sleep(0.05)
                load = Load(proxy.url, http, arrivals, journal, soak_load.EACH / options.rate)
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
        text = f"{value / 2**20:.1f} MB" if name.startswith("rss_") else value
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
