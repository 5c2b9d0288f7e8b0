"""Measures what finding, judging and settling calls costs by itself: CPU time of each step, without HTTP around it.

    python tests/benchmarks/inspection.py [--against CHECKOUT] [--rounds N] [--only WORD]

With ``--against``, the same is measured with the package of another checkout, the two in turn, each in a process
of its own; the last column is that checkout's time divided by this one's. Compare within a run only.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time_ns
from typing import Any

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
_MS = 1_000_000
_WINDOW = 30 * _MS
_SEVERAL = 10
"""In one turn of the event loop, so that its own cost does not count."""


def bodies() -> dict[str, tuple[str, bytes]]:
    """Name -> route and body, of the shapes that ``run.py`` sends, and some that nobody should."""
    import payloads

    plain, calls, large = payloads.bundle(), payloads.bundle(calls=5), payloads.bundle(size=1 << 20, calls=5)
    broken = json.loads(payloads.event(16 * 1024))
    broken["properties"]["bad"] = broken["properties"]["cart"]["worse_int"] = "x"
    user_vars = json.loads(payloads.event(2048))["properties"]
    return {
        "event 1 KB": ("DIRECT_EVENT", payloads.event(1024)),
        "event 20 KB": ("DIRECT_EVENT", payloads.event(20 * 1024)),
        "event 64 KB": ("DIRECT_EVENT", payloads.event(64 * 1024)),
        "event 512 KB": ("DIRECT_EVENT", payloads.event(512 * 1024)),
        "event 16 KB, 2 rejected": ("DIRECT_EVENT", json.dumps(broken).encode()),
        "user variables 2 KB": ("DIRECT_SET_USER_VARS", json.dumps(user_vars).encode()),
        "bundle 20 KB, no call": ("BUNDLE", plain),
        "bundle 20 KB, no call, gzip": ("BUNDLE", gzip.compress(plain, 6, mtime=0)),
        "bundle 20 KB, 5 calls": ("BUNDLE", calls),
        "bundle 1 MB, 5 calls": ("BUNDLE", large),
    }


def steps(route_name: str, body: bytes) -> dict[str, Callable[[], Any]]:
    """What is measured of a body: reading and judging it, and all that is done until it may be forwarded."""
    from ipaddress import ip_address
    from itertools import count

    from fsproxy.core.client_api.inspection import inspect
    from fsproxy.core.client_api.redacted_calls import inspect_redacted
    from fsproxy.core.model import Encoding, Instant, Route, SessionFacts
    from fsproxy.core.policy import Snapshot
    from fsproxy.core.redact.redaction import Redaction
    from fsproxy.core.settings import CoreSettings
    from fsproxy.core.wire.facts import BundleQuery
    from fsproxy.proxy.call_limits import CallLimits
    from fsproxy.proxy.decoding import decode
    from fsproxy.state.memory.ledger import MemoryLedger
    from fsproxy.state.memory.page_clocks import PageClocks
    from fsproxy.state.repeats import Repeats

    route = Route[route_name]
    policy = Snapshot.compile(CoreSettings(), 1).policy("o-1")
    limits = CallLimits(MemoryLedger(), Repeats(10_000), PageClocks(10_000), 1.0)
    upload = BundleQuery(org_id="o-1")
    numbers = count()
    address = ip_address("192.0.2.1")
    encoding = Encoding.GZIP if body[:2] == b"\x1f\x8b" else Encoding.IDENTITY

    async def whole() -> None:
        text = (await decode(body, encoding, 1 << 24)).text
        inspection = inspect(policy.client_api, route, text)
        if inspection.calls:
            number = f"{next(numbers)}"
            facts = SessionFacts(route=route, org="o-1", session_id=number, page_id=number, client_ip=address)
            settled = await limits.decide(policy, facts, upload, inspection, Instant(1e9))
            assert settled.outcome.status is None

    def redacting(rules: Redaction) -> None:
        assert not inspect_redacted(policy.client_api, route, body, None, rules).redacted.changes

    async def several() -> None:
        for _ in range(_SEVERAL):
            await whole()

    loop = asyncio.new_event_loop()
    found: dict[str, Callable[[], Any]] = {"whole": lambda: loop.run_until_complete(several())}
    if encoding is Encoding.IDENTITY:
        found["inspect"] = lambda: inspect(policy.client_api, route, body)
        if route is Route.BUNDLE:
            found |= {name: partial(redacting, each) for name, each in redactions().items()}
    return found


def redactions() -> dict[str, Any]:
    """Every kind of pattern, in the properties of calls and in all that is recorded."""
    from fsproxy.core.redact.redaction import Redaction
    from fsproxy.core.settings import CoreSettings, RedactIn, RedactRule, RedactSettings

    found: dict[str, Any] = {}
    for place in (RedactIn.PROPERTIES, RedactIn.STRINGS):
        patterns = ("email", "card", "ip", "query:token", r"regex:\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b")
        rules = tuple(RedactRule(mask=each, places_in=frozenset({place})) for each in patterns)
        found[f"redact {place}"] = Redaction.compile(CoreSettings(redact=RedactSettings(rules=rules)))
    return found


def naive(route_name: str, body: bytes) -> dict[str, Callable[[], Any]]:
    """What the naive validating proxy of ``run.py`` does with the body of an event."""
    from aiohttp_peers import _rejections

    return {"naive": lambda: _rejections(body)} if route_name == "DIRECT_EVENT" else {}


def measure(name: str, work: Callable[[], Any]) -> float:
    """CPU microseconds of one run, over a window of 30 ms at least."""
    runs, spent = 0, 0
    began = process_time_ns()
    while spent < _WINDOW:
        work()
        runs += 1
        spent = process_time_ns() - began
    return spent / runs / 1000 / (_SEVERAL if name.endswith("whole") else 1)


def serve() -> None:
    """In a child: measure what is named on standard input, one line each, with the package on the path."""
    work: dict[str, Callable[[], Any]] = {}
    for name, (route, body) in bodies().items():
        for step, run in (steps(route, body) | naive(route, body)).items():
            work[f"{name}: {step}"] = run
    print(json.dumps(list(work)), flush=True)
    for line in sys.stdin:
        name = line.strip()
        print(measure(name, work[name]), flush=True)


class Child:
    """A process that measures with one checkout's package."""

    def __init__(self, checkout: Path) -> None:
        environ = {"PYTHONPATH": f"{checkout}:{HERE.parent}", "PATH": ""}
        self._process = subprocess.Popen(
            [sys.executable, str(HERE), "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )
        self.names: list[str] = json.loads(self._line())

    def measure(self, name: str) -> float:
        """CPU microseconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        return float(self._line())

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    children = [Child(ROOT)] + ([Child(options.against)] if options.against else [])
    print(f"{'CPU microseconds, median':<42}{'this':>10}{'other':>10}{'other/this':>12}")
    for name in children[0].names:
        if options.only not in name:
            continue
        taken: list[list[float]] = [[] for _ in children]
        for _ in range(options.rounds):
            for child, times in zip(children, taken, strict=True):
                times.append(child.measure(name))
        middle = [statistics.median(times) for times in taken]
        rest = f"{middle[1]:>10.1f}{middle[1] / middle[0]:>12.2f}" if len(middle) > 1 else ""
        print(f"{name:<42}{middle[0]:>10.1f}{rest}", flush=True)
    for child in children:
        child.stop()


if __name__ == "__main__":
    serve() if sys.argv[1:2] == ["serve"] else main()
