"""Two programs to be compared by ``mutated_heads.py``: each with an upstream of its own, and asked over many connections."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Self, cast

import peers
from head_corpus import Case, probe
from odd_upstream import Journal, Recording, done
from process import rss

LANES = 24
"""Connections to each program that are used at the same time."""
QUIET = 0.06
"""Seconds without a byte after which no answer is expected any more."""
QUIET_AFTER_PROBE = 0.4
PAUSE = 0.002
"""Seconds between two pieces."""
MASKS: tuple[tuple[re.Pattern[bytes], bytes], ...] = (
    (re.compile(rb"(?i)(\r\ndate:)[^\r]*"), rb"\1 (date)"),
    (re.compile(rb"\b[0-9a-f]{12}-[0-9a-f]+(\.\d+)?(?=[\r\"])"), b"(id)"),
    (re.compile(rb"(?i)(\r\ncdn-loop:[^\r]*?)\b[0-9a-f]{16}\b"), rb"\1(passage)"),
)


def rules(upstream: int, port: int, admin: int, audit: Path) -> dict[str, Any]:
    """A configuration in which every filter and many options have something to do."""
    url = f"http://127.0.0.1:{upstream}"
    return {
        "version": 1,
        "listen": {"host": "127.0.0.1", "port": port},
        "admin": {"host": "127.0.0.1", "port": admin},
        "upstream": {"url": url, "prefixes": {"/s/": url}, "cookies": ["fs_uid", "theme"], "forwarded": True, "page_retry": "1ms"},
        "client_ip": {"trusted_proxies": ["127.0.0.0/8"], "header": "x-forwarded-for"},
        "orgs": {"listed": {"o-OFF-na1": {"enabled": False}}},
        "filters": {
            "script": {"min_compiled": "2023-08-03"},
            "url": {"max_length": 2000},
            "domain": {"rules": [{"block": f"shop-{number}.example.net"} for number in range(8)]},
            "ip": {"block": ["203.0.113.0/24"]},
            "user_agent": {"block": ["Bot-3/"], "block_missing": True},
            "geo": {"never": ["AQ"], "source": {"header": "cf-ipcountry"}},
            "opt_out": {"cookies": ["fs_optout=1"], "gpc": True, "dnt": True},
            "blocked_user": {"block": ["uid-bad"]},
            "deleting_user": {"block": ["uid-worse"]},
            "ramping": {"mode": "shadow", "share": "90%"},  # a first visit is drawn by lot
            "quota": {"sessions": 10**9},
        },
        "client_api": {"rate": {"event": ["1000000/s"], "user": ["1000000/s"]}},
        "state": {"persist": None},
        "audit": {"to": str(audit)},
        "log": {"level": "warning"},
    }  # fmt: skip


@dataclass
class Program:
    """One of the two, its upstream and its lanes."""

    name: str
    checkout: Path
    env: dict[str, str]
    journal: Journal = field(default_factory=Journal)
    lanes: dict[int, Link] = field(default_factory=dict)
    port: int = 0
    unmarked: list[bytes] = field(default_factory=list)
    """What came up in the last batch without the mark of one of its cases."""

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="fsproxy-heads-")
        folder = Path(self._folder.name)
        self.audit = folder / "audit.jsonl"
        loop = asyncio.get_running_loop()
        self._upstream = await loop.create_server(lambda: Recording(self.journal), "127.0.0.1", 0, backlog=1024)
        self._upstream_port = self._upstream.sockets[0].getsockname()[1]
        self.port, admin = peers.free_port_pair(), peers.free_port_pair()
        config = rules(self._upstream_port, self.port, admin, self.audit)
        (folder / "fsproxy.yaml").write_text(json.dumps(config))  # JSON is YAML
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - started once, before anything is measured
                [sys.executable, "-m", "fsproxy", "serve", "--config", str(folder / "fsproxy.yaml")],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, "PYTHONPATH": str(self.checkout), **self.env},
            )  # fmt: skip
        while not peers.is_ready(admin):
            if self._process.poll() is not None:
                raise SystemExit(f"{self.name}: {self.said()}")
            await asyncio.sleep(peers.POLL)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.terminate()
        await asyncio.to_thread(self._process.wait)
        self._upstream.close()
        self._folder.cleanup()

    def said(self) -> str:
        """The end of its log."""
        return self._output.read_text(errors="replace")[-3000:]

    @property
    def memory(self) -> int:
        """In bytes."""
        return rss([self._process.pid])

    async def answers(self, cases: list[Case], patience: float = 1.0) -> list[Outcome]:
        """What becomes of these cases, those of each lane in turn and the lanes side by side; sets ``unmarked``."""
        lanes = [cases[first::LANES] for first in range(min(LANES, len(cases)))]
        told = await asyncio.gather(*(self._in_turn(number, lane, patience) for number, lane in enumerate(lanes)))
        until = perf_counter() + patience
        for link in self.lanes.values():
            if link.out_of_step:
                link.end()
        while self.journal.open and perf_counter() < until:
            await asyncio.sleep(PAUSE)
        requests, self.journal.requests = self.journal.requests, {}
        for given, outcomes in zip(lanes, told, strict=True):
            for each, outcome in zip(given, outcomes, strict=True):
                outcome.upstream = [self._masked(request) for request in requests.pop(each.mark, [])]
        self.unmarked = sorted(self._masked(request) for several in requests.values() for request in several)
        if self.audit.exists():
            os.truncate(self.audit, 0)
        found = {each.number: outcome for given, outcomes in zip(lanes, told, strict=True)
                 for each, outcome in zip(given, outcomes, strict=True)}  # fmt: skip
        return [found[each.number] for each in cases]

    async def _in_turn(self, lane: int, cases: list[Case], patience: float) -> list[Outcome]:
        found = []
        for each in cases:
            link = self.lanes.get(lane)
            if link is None or each.fresh or link.out_of_step:
                if link is not None:
                    link.end()
                link = self.lanes[lane] = await connected(self.port)
            answer, end = await link.ask(each, patience)
            found.append(Outcome(self._masked(answer), end))
        return found

    def _masked(self, data: bytes) -> bytes:
        for pattern, word in MASKS:
            data = pattern.sub(word, data)
        return data.replace(b":%d" % self.port, b":(port)").replace(b":%d" % self._upstream_port, b":(upstream)")


@dataclass(slots=True)
class Outcome:
    """What a case came to."""

    answer: bytes
    end: str
    """``in step``: the probe was answered; ``closed``; ``silent``."""
    upstream: list[bytes] = field(default_factory=list)


class Link(asyncio.Protocol):
    """A connection to a program."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._closed = False
        self.out_of_step = False
        self._woken: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = self.out_of_step = True
        self._wake()

    def _write(self, data: bytes) -> None:
        if not self._closed:
            self._transport.write(data)

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def end(self) -> None:
        """Leave."""
        self._transport.abort()

    async def ask(self, each: Case, patience: float) -> tuple[bytes, str]:
        """Send a case and a probe. Return all that came back, and how the connection is left."""
        self._data.clear()
        last = each.pieces[-1]
        for piece in each.pieces[:-1]:
            self._write(piece)
            await asyncio.sleep(PAUSE)
        if each.probe_at_once:
            self._write(last + probe(each.mark))
        else:
            self._write(last)
            await self._until(None, QUIET * patience)
            self._write(probe(each.mark))
        in_step = await self._until(done(each.mark), QUIET_AFTER_PROBE * patience)
        self.out_of_step = self._closed or not in_step
        return bytes(self._data), "closed" if self._closed else "in step" if in_step else "silent"

    async def _until(self, words: bytes | None, quiet: float) -> bool:
        """Wait for these words, or an answer with its body; return whether they came before the end, or before silence."""
        loop = asyncio.get_running_loop()
        while not self._closed:
            if words in self._data if words is not None else is_answer(self._data):
                return True
            self._woken = loop.create_future()
            late = loop.call_later(quiet, self._wake)
            before = len(self._data)
            await self._woken
            late.cancel()
            if len(self._data) == before and not self._closed:
                return False
        return False


_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def is_answer(data: bytearray) -> bool:
    """Whether a final answer is whole, as far as that is easy to see; otherwise silence will tell."""
    begin = 0
    while data.startswith(b"HTTP/1.1 10", begin) and (end := data.find(b"\r\n\r\n", begin)) >= 0:
        begin = end + 4
    end = data.find(b"\r\n\r\n", begin)
    if end < 0:
        return False
    length = _LENGTH.search(data, begin, end)
    if length is not None:
        return len(data) >= end + 4 + int(length[1])
    return data.endswith(b"0\r\n\r\n") or data[begin + 9 : begin + 12] in (b"204", b"304")


async def connected(port: int) -> Link:
    """A new connection."""
    _, link = await asyncio.get_running_loop().create_connection(Link, "127.0.0.1", port)
    return link
