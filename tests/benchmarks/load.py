"""The load: keep-alive connections in a closed or open loop, with as little work a request as Python allows.

Plain sockets and one ``epoll``, in the caller's thread: a request and its answer cost about 20 us, so that the program
that is measured is the bottleneck.
"""

from __future__ import annotations

import re
import select
import socket
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter

import frames
from payloads import Requests

WARM_UP = 0.25
"""Of each window's seconds, how many pass before it is measured, at most in seconds."""
_AT_ONCE = 64 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STALLED = 30.0
"""Seconds in which connecting, or sending one request, must be possible."""


@dataclass
class Window:
    """What one window saw."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Seconds from when a request was sent, in an open loop from when it was due, to the last byte of its answer."""
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


class _Link:
    """One connection, and the answer that it waits for."""

    __slots__ = ("buffer", "owing", "sent", "sock")

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), _STALLED)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.owing = False
        self.sent = 0.0


@dataclass
class Load:
    """So many connections to one peer, each sending its next request when the last one is answered.

    With ``rate`` the loop is open: a request is sent when it is due, on any idle connection. With ``upgrade``
    connections are WebSockets opened by that request, and requests and answers are frames.
    """

    port: int
    next_request: Requests
    expected: int
    connections: int
    upgrade: bytes | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        self._status = str(self.expected).encode()
        self._links: dict[int, _Link] = {}
        self._idle: deque[_Link] = deque()
        self._window = Window()

    def measure(self, seconds: float, at_edge: Callable[[], None]) -> Window:
        """One window. ``at_edge`` is called at its first and at its last moment. Raises OSError without a peer."""
        self._links, self._idle, self._window = {}, deque(), Window()
        poll = select.epoll()
        try:
            for _ in range(self.connections):
                self._connect(poll)
            self._run(poll, perf_counter() + min(WARM_UP, seconds / 4))
            self._window = Window()
            at_edge()
            begun = perf_counter()
            self._run(poll, begun + seconds)
            window, self._window = self._window, Window()
            window.seconds = perf_counter() - begun
            at_edge()
        finally:
            for link in self._links.values():
                link.sock.close()
            poll.close()
        return window

    # -- the loop

    def _run(self, poll: select.epoll, until: float) -> None:
        rate, links, begun, due = self.rate, self._links, perf_counter(), 0
        while (now := perf_counter()) < until:
            wait = until - now
            if rate is not None:
                while self._idle and (at := begun + due / rate) <= now:
                    self._send(self._idle.popleft(), at)
                    due += 1
                if self._idle:
                    # epoll counts in whole milliseconds, select more finely.
                    select.select([poll], [], [], max(0.0, min(wait, begun + due / rate - perf_counter())))
                    wait = 0.0
            for number, _ in poll.poll(wait):
                link = links[number]
                data = b""
                with suppress(OSError):
                    data = link.sock.recv(_AT_ONCE)
                if not data:
                    self._lost(link, poll)
                else:
                    self._take(link, link.buffer + data if link.buffer else data)

    def _connect(self, poll: select.epoll) -> None:
        link = _Link(self.port)
        if self.upgrade is not None:
            link.sock.sendall(self.upgrade)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += (part := link.sock.recv(1))
                if not part:
                    break
            if not answer.startswith(b"HTTP/1.1 101 "):
                raise ConnectionRefusedError(f"no WebSocket: {answer[:100]!r}")
        self._links[link.sock.fileno()] = link
        poll.register(link.sock, select.EPOLLIN)
        if self.rate is None:
            self._send(link, perf_counter())
        else:
            self._idle.append(link)

    def _lost(self, link: _Link, poll: select.epoll) -> None:
        """Put another connection in its place."""
        self._window.lost += link.owing
        del self._links[link.sock.fileno()]
        with suppress(ValueError):
            self._idle.remove(link)
        link.sock.close()
        self._connect(poll)

    def _send(self, link: _Link, begun: float) -> None:
        link.owing, link.sent = True, begun
        with suppress(OSError):  # a peer that is gone is seen when its answer is read
            link.sock.sendall(self.next_request())

    def _take(self, link: _Link, data: bytes) -> None:
        if self.upgrade is not None:
            self._take_frames(link, data)
        elif not is_whole(data):
            link.buffer = data
        else:
            link.buffer = b""
            self._answered(link, data[9:12])

    def _take_frames(self, link: _Link, data: bytes) -> None:
        while (found := frames.first(data)) is not None:
            opcode, length = found
            data = data[length:]
            if opcode == frames.TEXT:
                self._answered(link, self._status)
            elif opcode == frames.CLOSE:
                link.sock.shutdown(socket.SHUT_RDWR)
        link.buffer = data

    def _answered(self, link: _Link, status: bytes) -> None:
        now = perf_counter()
        window = self._window
        window.latencies.append(now - link.sent)
        if status != self._status:
            window.statuses[status] += 1
        if self.rate is None:
            self._send(link, now)
        else:
            link.owing = False
            self._idle.append(link)


def is_whole(data: bytes) -> bool:
    """Return whether an answer is whole, by its length or its last chunk."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    length = _LENGTH.search(data, 0, end)
    if length is not None:
        return len(data) >= end + 4 + int(length[1])
    return data.endswith(b"0\r\n\r\n") if b"chunked" in data[:end].lower() else True
