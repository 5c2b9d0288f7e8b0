"""One soak: visitors at work, things broken in turn, the process watched, and what is to be said of it all."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp

from soak_load import Load
from soak_store import SoakStore
from soak_visitors import VISITORS, Visitor
from soak_watch import Watch, metrics
from support.faulty_link import Fault, FaultyLink
from support.proxy import RunningProxy
from support.upstream import RecordingUpstream

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
LOOKS = 240
"""At the process, in all."""


@dataclass
class Soak:
    """One run."""

    options: argparse.Namespace
    proxy: RunningProxy
    store: SoakStore
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
        self.watch.look(0, 0)
        end = loop.time() + self.seconds
        async with asyncio.TaskGroup() as group:
            for visitor, count in VISITORS:
                for number in range(count):
                    group.create_task(_awaited(visitor, self.load, Random(f"{self.options.seed} {visitor} {number}")))
            looking = group.create_task(self._look())
            await self._break_things(end)
            self.load.enough = True
            looking.cancel()
        await self.load.http.close()
        async with aiohttp.ClientSession() as http:
            counted = await self._rest(http)
        self._read_log()
        return self._figures(counted, self._problems(counted))

    # -- while it runs

    async def _look(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            for look in itertools.count():
                await asyncio.sleep(self.seconds / LOOKS)
                if look >= LOOKS * self.options.warm_up:
                    self.watch.warmed_up()
                self.watch.look(self.load.arrivals.settled, self.load.remembered())
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
        reloads = itertools.cycle(("reload", "bad reload"))
        steps = [step for fault in self.store.faults for step in ("flap", fault, "flap", next(reloads))]
        number = 0
        # Each is done at least once, however short the time is.
        while loop.time() + pause < end or number < len(steps):
            await asyncio.sleep(pause * (0.5 + chances.random() / 2))
            step = steps[number % len(steps)]
            number += 1
            lasts = min(2.0, pause / 2) * (0.5 + chances.random() / 2)
            match step:
                case "flap":
                    fault = FLAPS[self.done["flaps"] % len(FLAPS)]
                    self.done["flaps"] += 1
                    step = f"upstream: {fault}"
                    await self._flap(fault, lasts)
                case "reload":
                    addresses = [*good["filters"]["ip"]["block"], f"192.0.2.{number % 250}"]
                    self.proxy.write_config({**good, "filters": {**good["filters"], "ip": {"block": addresses}}})
                case "bad reload":
                    self.proxy.config_path.write_text("upstream: {url: [")
                    await asyncio.sleep(lasts)
                    self.proxy.write_config(good)
                case _:
                    damage, mend = self.store.faults[step]
                    self.load.store_trouble.on = True
                    await asyncio.to_thread(damage)
                    await asyncio.sleep(lasts)
                    await asyncio.to_thread(mend)
                    self.load.store_trouble.end()
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
            self.watch.look(self.load.arrivals.settled, self.load.remembered())
            counted = await metrics(http, self.proxy.admin_url)
            if not counted["fsproxy_in_flight"] and not self.load.arrivals.without_line:
                break
        # The upstream's connections that are kept for reuse are no leak: without an upstream there are none.
        await self.link.set(Fault.REFUSE)
        await asyncio.sleep(1.0)
        self.watch.look(self.load.arrivals.settled, self.load.remembered())
        return counted

    def _problems(self, counted: dict[str, float]) -> list[str]:
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
        return found + self.watch.leaks()

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
            **{each.name: each.figures() for each in self.watch.processes},
            "problems": problems,
        }


async def _awaited(visitor: Visitor, load: Load, random: Random) -> None:
    await visitor(load, random)
