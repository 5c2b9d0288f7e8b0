"""Swaps the configuration file many times, every second time for a bad one, while requests come at a fixed rate.

python tests/benchmarks/reload_under_load.py [--rate 2000] [--swaps 100] [--rules 1000]

The load is open: a request is due at its time, whether or not those before it were answered, and its latency counts
from then on. Exit status 1: a request failed, an audit line is missing, or one was decided by another configuration
than the one whose generation it carries.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import aiohttp
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import swaps
from support.proxy import RunningProxy, running_proxy
from upstream import running_upstream

STEP = 0.005
"""Seconds between two looks at what is due."""
MOST_CONNECTIONS = 512
ANSWER_SECONDS = 60.0
"""How long the last answers are waited for."""
RELOAD_SECONDS = 30.0
HEAD = (
    f"Host: 127.0.0.1\r\nOrigin: https://{swaps.HOST}\r\nX-Forwarded-For: {swaps.ADDRESS}\r\n"
    f"User-Agent: {swaps.AGENT}\r\nContent-Type: text/plain\r\n"
)
BUNDLE = '{"Seq":1,"When":0,"Evts":[{"Kind":25,"Args":["a"],"When":0}]}'
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def request(number: int) -> tuple[bytes, bytes]:
    """A blocked page, a captured page, an upload: in turn; and the status that it must get."""
    kind = number % 3
    org = swaps.BLOCKED if kind == 0 else swaps.SHADOWED
    ids = {"UserId": "", "SessionId": f"s-{number}", "PageId": f"p-{number}"}
    if kind == 2:
        target, body = f"/rec/bundle/v2?OrgId={org}&UserId=u&SessionId=s-{number}&PageId=p-{number}&Seq=1", BUNDLE
    else:
        target, body = "/rec/page", json.dumps({"OrgId": org, "Url": f"https://{swaps.HOST}/", **ids})
    head = f"POST {target} HTTP/1.1\r\n{HEAD}X-Request-Id: n-{number}\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode(), b"202" if kind == 0 else b"200"


@dataclass
class Load:
    """What was sent and what came back."""

    port: int
    sent: int = 0
    latencies: list[float] = field(default_factory=list)
    """Seconds, from when a request was due to its whole answer."""
    failures: Counter[str] = field(default_factory=Counter)
    idle: list[Connection] = field(default_factory=list)
    waiting: deque[tuple[int, float]] = field(default_factory=deque)
    connections: int = 0

    seconds: float = 0.0
    """That it ran."""
    in_time: int = 0
    """Requests that had ended by then: with the seconds, the rate that was reached."""

    @property
    def ended(self) -> int:
        """Requests that were answered, or failed."""
        return len(self.latencies) + self.failures.total()

    async def run(self, rate: float, done: asyncio.Event) -> None:
        """Until ``done``: requests when they are due."""
        begun = perf_counter()
        while not done.is_set():
            now = perf_counter()
            while self.sent < (now - begun) * rate:
                self.waiting.append((self.sent, begun + self.sent / rate))
                self.sent += 1
            await self._send_waiting()
            await asyncio.sleep(STEP)
        self.seconds, self.in_time = perf_counter() - begun, self.ended
        until = perf_counter() + ANSWER_SECONDS
        while self.ended < self.sent and perf_counter() < until:
            await self._send_waiting()
            await asyncio.sleep(STEP)
        if self.ended < self.sent:
            self.failures["not answered"] += self.sent - self.ended
        for connection in self.idle:
            connection.transport.abort()

    async def _send_waiting(self) -> None:
        while self.waiting and not self.idle and self.connections < MOST_CONNECTIONS:
            await self._connect()
        while self.waiting and self.idle:
            self.idle.pop().send(*self.waiting.popleft())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.port)
        self.connections += 1
        self.idle.append(connection)


class Connection(asyncio.Protocol):
    """One keep-alive connection: a request at a time."""

    __slots__ = ("_buffer", "_due", "_expected", "_load", "_owes", "transport")

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._owes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def send(self, number: int, due: float) -> None:
        """Send request ``number``."""
        text, self._expected = request(number)
        self._due, self._owes = due, True
        self.transport.write(text)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        length = _LENGTH.search(self._buffer, 0, max(end, 0))
        if end < 0 or length is None or len(self._buffer) < end + 4 + int(length[1]):
            return
        status, self._buffer, self._owes = self._buffer[9:12], b"", False
        if status == self._expected:
            self._load.latencies.append(perf_counter() - self._due)
        else:
            self._load.failures[f"{status.decode()}, not {self._expected.decode()}"] += 1
        self._load.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.connections -= 1
        if self in self._load.idle:
            self._load.idle.remove(self)
        if self._owes:
            self._load.failures["connection lost"] += 1


@dataclass
class Swaps:
    """The configuration's file, swapped."""

    proxy: RunningProxy
    session: aiohttp.ClientSession
    upstream_port: int
    rules: int
    swap_of: dict[int, int] = field(default_factory=lambda: {1: 0})
    """Generation -> the swap that made it."""
    slowest: float = 0.0
    """Seconds from a swap to when it was in force, or its errors were told."""

    def sections(self, number: int) -> dict[str, Any]:
        """A good configuration."""
        return {**swaps.good(number, self.rules), "upstream": {"url": f"http://127.0.0.1:{self.upstream_port}"}}

    async def run(self, count: int) -> None:
        """Good, bad, good, bad ...; each is waited for."""
        for number in range(1, count + 1):
            begun = perf_counter()
            made: Mapping[str, Any] | str = self.sections(number) if number % 2 else swaps.bad(number // 2)
            if isinstance(made, str):
                new = self.proxy.config_path.with_suffix(".new")
                new.write_text(made)
                new.replace(self.proxy.config_path)
            else:
                self.proxy.write_config(made)
            if number % 2:
                self.swap_of[len(self.swap_of) + 1] = number
            await self._known(faulty=number % 2 == 0)
            self.slowest = max(self.slowest, perf_counter() - begun)

    async def _known(self, *, faulty: bool) -> None:
        async with asyncio.timeout(RELOAD_SECONDS):
            while True:
                async with self.session.get(f"{self.proxy.admin_url}/readyz") as answer:
                    body = await answer.json()
                if body["generation"] == len(self.swap_of) and bool(body["config"]["errors"]) is faulty:
                    return
                await asyncio.sleep(0.02)


async def audit_lines(path: Path, count: int) -> list[dict[str, Any]]:
    """All lines, once there are so many; fewer when they do not come."""
    for _ in range(200):
        if path.read_bytes().count(b"\n") >= count:
            break
        await asyncio.sleep(0.05)
    text = path.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def told(options: argparse.Namespace, load: Load, swapped: Swaps, lines: list[dict[str, Any]]) -> int:
    """Prints what was found; the exit status."""
    ordered = sorted(load.latencies)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 for share in (0.5, 0.99, 1.0)]
    missing = load.sent - len({line["http.request.id"] for line in lines})
    wrong = swaps.faults(lines, swapped.swap_of)
    rows = {
        "swaps": f"{options.swaps}, {options.swaps // 2} of them bad, in {load.seconds:.1f} s; {options.rules} rules",
        "slowest swap": f"{swapped.slowest * 1000:.0f} ms until in force or refused",
        "requests": f"{load.sent}; reached {load.in_time / load.seconds:.0f} a second of {options.rate:g}",
        "latency": f"p50 {at[0]:.1f} ms, p99 {at[1]:.1f} ms, longest {at[2]:.1f} ms",
        "failed": f"{load.failures.total()} {dict(load.failures) or ''}",
        "audit lines": f"{len(lines)}, {missing} missing, of {len({x['fsproxy.generation'] for x in lines})} generations",
        "mixed": f"{len(wrong)} {wrong[:3] or ''}",
    }
    for name, text in rows.items():
        print(f"{name:14}{text}")
    return 1 if load.failures or missing or wrong or len(lines) != load.sent else 0


async def measure(options: argparse.Namespace) -> int:
    """The exit status."""
    with running_upstream() as upstream:
        port = upstream.port
        first = {**swaps.good(0, options.rules), "upstream": {"url": f"http://127.0.0.1:{port}"}}
        async with aiohttp.ClientSession() as session, running_proxy(first) as proxy:
            load, swapped, done = Load(proxy.port), Swaps(proxy, session, port, options.rules), asyncio.Event()
            running = asyncio.create_task(load.run(options.rate, done))
            try:
                await swapped.run(options.swaps)
            finally:
                done.set()
                await running
            return told(options, load, swapped, await audit_lines(proxy.folder / "stdout", load.sent))


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=2000, help="requests a second")
    parser.add_argument("--swaps", type=int, default=100, help="every second one is bad")
    parser.add_argument("--rules", type=int, default=1000, help="addresses in each configuration")
    return uvloop.run(measure(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
