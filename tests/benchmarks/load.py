"""The load: keep-alive connections in a closed loop, with as little work a request as Python allows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

import frames
from payloads import Requests

WARM_UP = 0.25
"""Of each window's seconds, how many pass before it is measured, at most in seconds."""


@dataclass
class Window:
    """What one window saw."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Seconds from the last byte written to the last byte read."""
    statuses: Counter[bytes] = field(default_factory=Counter)
    """Answers by status, the expected one left out."""
    lost: int = 0
    """Connections that ended while they owed an answer."""

    @property
    def requests(self) -> int:
        """How many were answered."""
        return len(self.latencies)

    @property
    def problem(self) -> str | None:
        """What went wrong, or None."""
        if self.statuses or self.lost or not self.requests:
            statuses = ", ".join(f"{count} x {status.decode()}" for status, count in self.statuses.items())
            return f"{self.requests} answers, unexpected: {statuses or 'none'}, connections lost: {self.lost}"
        return None

    def percentile(self, share: float) -> float:
        """A latency in seconds."""
        ordered = sorted(self.latencies) or [0.0]
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Load:
    """So many connections to one peer, each sending its next request when the last one is answered.

    With ``upgrade`` they are WebSockets opened by that request, and requests and answers are frames.
    """

    def __init__(
        self, port: int, requests: Requests, expected: int, connections: int, upgrade: bytes | None = None
    ) -> None:
        self.upgrade = upgrade
        self.port = port
        self.next_request = requests
        self.expected = str(expected).encode()
        self.window = Window()
        self.running = False
        self._count = connections
        self._connections: set[_Connection] = set()
        self._reconnecting: set[asyncio.Task[None]] = set()

    async def measure(self, seconds: float, at_edge: Callable[[], None]) -> Window:
        """One window. ``at_edge`` is called at its first and at its last moment."""
        self.running = True
        for _ in range(self._count):
            await self._connect()
        await asyncio.sleep(min(WARM_UP, seconds / 4))
        self.window.latencies.clear()
        at_edge()
        begun = perf_counter()
        await asyncio.sleep(seconds)
        window, self.window = self.window, Window()
        window.seconds = perf_counter() - begun
        at_edge()
        self.running = False
        for connection in list(self._connections):
            connection.close()
        while self._connections:  # a window that begins before they are gone would put others in their place
            await asyncio.sleep(0)
        return window

    async def _connect(self) -> None:
        kind = _Connection if self.upgrade is None else _SocketConnection
        await asyncio.get_running_loop().create_connection(lambda: kind(self), "127.0.0.1", self.port)

    def opened(self, connection: _Connection) -> None:
        """A connection is there."""
        self._connections.add(connection)

    def ended(self, connection: _Connection, *, owing: bool) -> None:
        """A connection is gone: another takes its place."""
        self._connections.discard(connection)
        if self.running:
            self.window.lost += owing
            task = asyncio.get_running_loop().create_task(self._connect())
            self._reconnecting.add(task)
            task.add_done_callback(self._reconnecting.discard)


class _Connection(asyncio.Protocol):
    __slots__ = ("_buffer", "_load", "_owing", "_sent", "_transport")

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._owing = False
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._load.opened(self)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.ended(self, owing=self._owing)

    def close(self) -> None:
        self._owing = False
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        if not _is_whole(data):
            self._buffer = data
            return
        self._buffer = b""
        self._answered(data[9:12])

    def _answered(self, status: bytes) -> None:
        load = self._load
        window = load.window
        window.latencies.append(perf_counter() - self._sent)
        if status != load.expected:
            window.statuses[status] += 1
        self._owing = False
        if load.running:
            self._send()

    def _send(self) -> None:
        request = self._load.next_request()
        self._owing = True
        self._sent = perf_counter()
        self._transport.write(request)


class _SocketConnection(_Connection):
    __slots__ = ("_is_open",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._is_open = False
        self._owing = True
        self._load.opened(self)
        self._transport.write(self._load.upgrade or b"")

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        if not self._is_open:
            self._open(data)
            return
        while (found := frames.first(data)) is not None:
            opcode, length = found
            data = data[length:]
            if opcode == frames.TEXT:
                self._answered(self._load.expected)
            elif opcode == frames.CLOSE:
                self._transport.abort()
        self._buffer = data

    def _open(self, data: bytes) -> None:
        self._buffer = data
        if b"\r\n\r\n" not in data:
            return
        self._buffer = b""
        if data.startswith(b"HTTP/1.1 101 "):
            self._is_open = True
            self._send()
        else:
            self._load.window.statuses[data[9:12]] += 1
            self.close()


def _is_whole(data: bytes) -> bool:
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = data[:end].lower() + b"\r\n"
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        return len(data) >= end + 4 + int(head[at + 17 : head.index(b"\r\n", at + 2)])
    if b"\r\ntransfer-encoding: chunked\r\n" in head:
        return data.endswith(b"0\r\n\r\n")
    return True
