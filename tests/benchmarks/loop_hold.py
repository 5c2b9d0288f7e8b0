"""Measures how long one request holds the event loop: the CPU time of its thread between two ticks of a timer.

    python tests/benchmarks/loop_hold.py [--rounds N] [--only WORD]
    python tests/benchmarks/loop_hold.py --search SECONDS [--seed N] [--most BYTES]

The proxy runs as a process of its own with a 1 ms timer added to its loop; each request is sent alone, and the most
that the loop's thread computed between two ticks while it was answered is noted. Other work on the machine, and
what other threads of the proxy do, count little. "idle" is what the machine adds of its own, with no request.

Without ``--search`` the listed cases are measured; the middle of the rounds is the figure. With it, shapes are made at
random (``hold_shapes.py``) and the slowest are changed again and again, on every route, frames of sockets and the admin
API included. The floor for inputs of up to 1 MB is 10 ms, for any under the limits 50 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import logging
import os
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from random import Random
from time import perf_counter, thread_time
from typing import Any
from urllib.parse import urlencode

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2]))
sys.path.insert(0, str(HERE.parents[1]))
sys.path.insert(0, str(HERE.parent))

from hold_shapes import Climb, Shape, body_of  # noqa: E402 - found by the path above

TICK = 0.001
KB512 = 512 * 1024
ORG = "o-BENCH-na1"


def serve() -> None:
    """In the child: ``fsproxy serve`` with a timer on its loop that notes its longest gap; SIGUSR1 tells and resets."""
    from fsproxy.app import App
    from fsproxy.cli import main

    run = App.run

    async def watched(self: App) -> None:
        loop = asyncio.get_running_loop()
        out = os.open("gaps", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        worst, last, last_spent = 0.0, perf_counter(), thread_time()

        def tick() -> None:
            nonlocal worst, last, last_spent
            now, spent = perf_counter(), thread_time()
            worst = max(worst, min(now - last - TICK, spent - last_spent))
            last, last_spent = now, spent
            loop.call_later(TICK, tick)

        def tell() -> None:
            nonlocal worst
            os.write(out, f"{worst}\n".encode())
            worst = 0.0

        loop.add_signal_handler(signal.SIGUSR1, tell)
        tick()
        await run(self)

    App.run = watched  # type: ignore[method-assign]
    main(["serve", *sys.argv[2:]])


ROUTES = {
    "page": "/rec/page",
    "bundle": "/rec/bundle/v2",
    "raw": "/rec/bundle/v2",
    "event": "/rec/event",
    "direct event": "/client/event",
    "direct vars": "/client/setUserVars",
    "identify": "/client/identify",
    "v2 event": "/v2/events",
    "v2 user": "/v2/users",
    "v2 batch": "/v2/events/batch",
    "v1 event": "/users/v1/individual/u/customevent",
}
RULES = {
    "orgs": {"listed": {"o-OTHER": {}}},
    "filters": {
        "domain": {"rules": [{"block": f"d{n}.example.com"} for n in range(1000)]},
        "ip": {"block": [f"10.{n}.0.0/16" for n in range(200)]},
        "user_agent": {"block": [f"bot-{n}" for n in range(200)]},
        "opt_out": {"cookies": ["fs_optout=1"], "gpc": True},
        "deleting_user": {"block": ["somebody"]},
        "quota": {"sessions": 1000000},
        "ramping": {"share": "99%"},
        "url": {"match_origin": True},
    },
}


def properties(count: int, value: object, name: str = "p") -> dict[str, object]:
    return {f"{name}{number}_str": value for number in range(count)}


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def event(given: dict[str, object]) -> bytes:
    return compact({"name": "Bought", "properties": given})


def bundle(calls: int, given: dict[str, object], opaque: int = 0) -> bytes:
    text = compact(given).decode()
    events: list[object] = [{"Kind": 2, "Args": [n, "<div class=a>" * 10], "When": n} for n in range(opaque)]
    for number in range(calls):
        events.append({"Kind": 98, "Args": ["api", "event", "dom", None, False], "When": number})
        events.append({"Kind": 8197, "Args": ["Bought", text], "When": number})
    return compact({"Seq": 1, "When": 0, "Evts": events})


def nested() -> dict[str, object]:
    found: dict[str, object] = {"z_str": "x" * 8000}
    for _ in range(60):
        found = {"a": found}
    return {f"q{n}": found for n in range(60)}


def lists(depth: int) -> object:
    found: object = 1
    for _ in range(depth):
        found = [found]
    return found


def cases() -> dict[str, tuple[str, bytes]]:
    """Name -> path and body."""
    direct, upload = "/client/event", "/rec/bundle/v2"
    large = "x" * 95
    made = {
        "1 KB event": (direct, event(properties(20, "x" * 30))),
        "event, 5,000 leaves, 512 KB": (direct, event(properties(5000, "x" * 88))),
        "event, 5,000 leaves, all rejected": (direct, event(properties(5000, 7))),
        "event, 64 values of 8 KB": (direct, event(properties(63, "x" * 8192))),
        "event, escapes": (direct, event(properties(63, "\u00e9" * 1300))),
        "event, nested 60 deep": (direct, event(nested())),
        "event, 500 objects of 10 leaves": (direct, event({f"o{n}": properties(10, "x" * 70) for n in range(500)})),
        "event, 5,000 leaves, other names each time": (direct, b"%event"),
        "event, 60 lists of 4,000 numbers": (direct, event({f"a{n}_ints": [1] * 4000 for n in range(60)})),
        "event, lists 63 deep": (direct, event({f"a{n}_str": lists(61) for n in range(3000)})),
        "event, a name twice at its end": (direct, event(properties(5000, "x" * 80))[:-2] + b',"p0_str":""}}'),
        "event, a list of 250,000 numbers": (direct, event({"a_ints": [1] * 250_000})),
        "event, one byte over": (direct, event({"a_str": "x" * (KB512 - 30)})),
        "event, broken at its end": (direct, event(properties(5000, large))[:-1]),
        "event, 8 MB": (direct, event({"a_str": "x" * (8 << 20)})),
        "vars, 5,000 leaves": ("/client/setUserVars", compact(properties(5000, "x" * 80))),
        "bundle 512 KB, no call": (upload, bundle(0, {}, 3000)),
        "bundle 512 KB, 2,500 calls": (upload, bundle(2500, {"a_str": "x" * 20})),
        "bundle 512 KB, 2,500 calls, all cut": (upload, bundle(2500, {"a_int": "x" * 20, "b_int": 1})),
        "bundle, one call of 5,000 leaves": (upload, bundle(1, properties(5000, "x" * 80))),
        "bundle, one call of 5,000 leaves, all cut": (upload, bundle(1, properties(5000, 7))),
        "bundle 512 KB of tiny events": (upload, bundle(1, {"a_str": "x"})[:-2] + b",{}" * 170_000 + b"]}"),
        "bundle 512 KB of calls' numbers": (upload, compact({"Evts": [{"Kind": 1, "a": [{"b": 8197}] * 45_000}]})),
        "bundle 8 MB, no call": (upload, bundle(0, {}, 45_000)),
        "bundle 8 MB, one call cut": (upload, bundle(1, {"a_int": "x", "b_int": 1}, 45_000)),
        "batch of 2,500": (
            "/v2/events/batch",
            compact({"requests": [{"name": "Bought", "properties": {"a": "x" * 100}}] * 2500}),
        ),
    }
    return made | {
        f"{name}, gzip": (path, gzip.compress(body)) for name, (path, body) in made.items() if "bundle" in name
    }


class Proxy:
    """The child, and what it tells."""

    def __init__(self, process: asyncio.subprocess.Process, gaps: Path) -> None:
        self._process = process
        self._gaps = gaps
        self._told = 0

    async def gap(self) -> float:
        """The longest gap since the last time, in milliseconds."""
        self._process.send_signal(signal.SIGUSR1)
        while len(lines := self._gaps.read_text().splitlines()) <= self._told:
            await asyncio.sleep(0.002)
        self._told = len(lines)
        return float(lines[-1]) * 1000


async def measure(rounds: int, only: str) -> None:
    import aiohttp

    from support.proxy import running_proxy
    from support.upstream import RecordingUpstream

    with tempfile.TemporaryDirectory():
        async with (
            RecordingUpstream() as upstream,
            running_proxy(
                {
                    "upstream": {"url": upstream.url},
                    "audit": {"to": "audit.jsonl"},
                    "client_api": {"rate": {"event": ["1000000/s"], "user": ["1000000/s"]}},
                },
                command=(sys.executable, str(HERE), "serve"),
            ) as proxy,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as client,
        ):
            child = Proxy(proxy.process, proxy.folder / "gaps")

            async def send(path: str, body: bytes, page: str) -> tuple[int, float]:
                query = {"OrgId": ORG, "SessionId": page, "PageId": page, "UserId": "u"}
                if body[:2] == b"\x1f\x8b":
                    query["ContentEncoding"] = "gzip"
                began = perf_counter()
                headers = {"Authorization": "Basic YTpi"}
                async with client.post(f"{proxy.url}{path}?{urlencode(query)}", data=body, headers=headers) as got:
                    await got.read()
                upstream.received.clear()
                return got.status, (perf_counter() - began) * 1000

            await child.gap()
            await asyncio.sleep(0.3)
            print(f"{'':<48}{'status':>7}{'middle':>9}{'best':>8}{'worst':>8}   took, ms")
            print(f"{'idle, 0.3 s':<55}{await child.gap():>9.1f}")
            for name, (path, body) in cases().items():
                if only not in name:
                    continue
                await send(path, body, f"warm {name}")
                gaps, status, took = [], 0, 0.0
                for number in range(rounds):
                    await asyncio.sleep(0.02)
                    await child.gap()
                    given = properties(5000, "x" * 80, f"n{number}p")
                    status, took = await send(path, event(given) if body == b"%event" else body, f"{name} {number}")
                    gaps.append(await child.gap())
                middle = statistics.median(gaps)
                print(f"{name:<48}{status:>7}{middle:>9.1f}{min(gaps):>8.1f}{max(gaps):>8.1f}{took:>10.1f}", flush=True)


async def search(seconds: float, seed: int, most: int) -> None:
    """Look for the shape that holds the loop longest; print each that is slower than all before."""
    import aiohttp

    from support.proxy import running_proxy
    from support.upstream import RecordingUpstream

    logging.getLogger("aiohttp.server").disabled = True  # The upstream's clients are cut on purpose.
    climb = Climb(Random(seed))
    async with (
        RecordingUpstream(allow_unexpected=True) as upstream,
        running_proxy(
            {"upstream": {"url": upstream.url}, "audit": {"to": "audit.jsonl"}, **RULES},
            command=(sys.executable, str(HERE), "serve"),
        ) as proxy,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(120)) as client,
    ):
        child = Proxy(proxy.process, proxy.folder / "gaps")
        until, tried, slowest = perf_counter() + seconds, 0, 0.0
        while perf_counter() < until:
            shape = climb.propose()
            body = body_of(shape, most)
            score = 1e9
            if not body:
                continue
            for _ in range(3):
                await asyncio.sleep(0.01)
                await child.gap()
                await send_shape(client, proxy.url, proxy.admin_url, shape, body)
                upstream.received.clear()
                score = min(score, await child.gap())
                if score < 2:
                    break
            tried += 1
            climb.note(shape, score)
            if score > slowest:
                slowest = score
                print(f"{tried:>6} {score:7.1f} ms {len(body):>9} {shape}", flush=True)
        print(f"{tried} shapes; the slowest of each route and place:")
        for score, shape in climb.best:
            print(f"{score:7.1f} ms {len(body_of(shape, most)):>9} {shape}")


async def send_shape(client: Any, url: str, admin: str, shape: Shape, body: bytes) -> None:
    """Send a request of this shape under ids that were not seen before, and read its answer."""
    import aiohttp

    page = os.urandom(8).hex()
    if shape.route.startswith("socket"):
        async with client.ws_connect(f"{url}/rec/sock", max_msg_size=0) as socket:
            await socket.send_str(body.decode("utf-8", "replace"))
            with contextlib.suppress(TimeoutError):
                await socket.receive(timeout=0.3)
        return
    headers = {"Authorization": "Basic YTpi", "Content-Type": "application/json"}
    target = f"{admin}/api/explain"
    if shape.route != "explain":
        query = {"OrgId": ORG, "SessionId": page, "PageId": page, "UserId": "u"}
        if shape.compressed:
            query["ContentEncoding"] = "gzip"
            headers["Content-Encoding"] = "gzip"
        target = f"{url}{ROUTES[shape.route]}?{urlencode(query)}"
    with contextlib.suppress(aiohttp.ClientError):
        async with client.post(target, data=body, headers=headers) as got:
            await got.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="")
    parser.add_argument("--search", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=1_000_000, metavar="BYTES")
    options = parser.parse_args()
    if options.search:
        asyncio.run(search(options.search, options.seed, options.most))
    else:
        asyncio.run(measure(options.rounds, options.only))


if __name__ == "__main__":
    serve() if sys.argv[1:2] == ["serve"] else main()
