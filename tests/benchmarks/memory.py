"""What an idle process, an idle connection and a remembered session take, by resident memory."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

import payloads
import peers
import process
from configs import PATHS
from load import Load

CONNECTIONS = 2000
SESSIONS_BEFORE, SESSIONS = 20_000, 100_000
"""Sessions are counted by the growth from the first number to both: allocators have warmed up by then."""
PEERS = ("naive", "nginx", "haproxy", "fsproxy")


@dataclass(frozen=True, slots=True)
class Memory:
    """Targets for fsproxy: at most 60 MB, 12 KB and 300 bytes."""

    peer: str
    start_mb: float
    idle_connection_kb: float
    session_bytes: float | None
    """None for peers that remember none."""

    def as_json(self) -> dict[str, Any]:
        """A row beside the others."""
        return {"path": "memory", **asdict(self), "problems": []}

    def line(self) -> str:
        """For people."""
        session = "-" if self.session_bytes is None else f"{self.session_bytes:.0f} B"
        idle = f"{self.idle_connection_kb:.1f} KB"
        return f"memory  {self.peer:10}  start {self.start_mb:.1f} MB  idle connection {idle}  session {session}"


async def measure_memory(name: str, upstream_port: int, core: int) -> Memory:
    """One peer, started for this alone. Raises ``PeerError``, and ``OSError`` where it does not answer."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    peer = await peers.start(name, PATHS["page"], upstream_port, core)
    try:
        start = process.rss(peer.pids)
        idle = await idle_connections(peer.port, peer.pids, CONNECTIONS)
        sessions = await _sessions(peer.port, peer.pids) if name == "fsproxy" else None
    finally:
        peer.stop()
    return Memory(name, start / 1024 / 1024, idle / 1024, sessions)


async def idle_connections(
    port: int, pids: list[int], wanted: int, meanwhile: Callable[[], Awaitable[None]] | None = None
) -> float:
    """Bytes for a connection that has carried one page and is kept alive. ``meanwhile`` is done while all are open."""
    open_now = await open_idle(port, 100)
    before = process.rss(pids)  # after what the first requests alone take
    open_now += await open_idle(port, wanted)
    after = process.rss(pids)
    if meanwhile is not None:
        await meanwhile()
    for writer in open_now:
        writer.close()
    return (after - before) / wanted


async def open_idle(port: int, wanted: int) -> list[asyncio.StreamWriter]:
    """Connections that have carried one page each, and are open."""
    next_request = payloads.pages_under_way()
    opened: list[asyncio.StreamWriter] = []
    for _ in range(wanted):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(next_request())
        await reader.readuntil(b"\r\n\r\n")
        opened.append(writer)
    return opened


async def _sessions(port: int, pids: list[int]) -> float:
    """Bytes for a session of one page."""
    sent = 0
    new_page = payloads.new_pages()

    def counted() -> bytes:
        nonlocal sent
        sent += 1
        return new_page()

    load = Load(port, counted, 200, 16)
    marks = []
    for goal in (SESSIONS_BEFORE, SESSIONS_BEFORE + SESSIONS):
        while sent < goal:
            window = await load.measure(1.0, lambda: None)
            if window.problem is not None:
                raise OSError(window.problem)
        marks.append((sent, process.rss(pids)))
    (first, before), (last, after) = marks
    return (after - before) / (last - first)
