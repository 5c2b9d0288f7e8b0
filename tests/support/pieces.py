"""A client that sends bytes in pieces, each of which the other side has read before the next one is sent."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from support.raw_http import DEADLINE

_CHUNK = re.compile(rb"([0-9a-f]+)\r\n")
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n")
TURNS = 3
"""Turns of the event loop after which a piece has been read, as both ends run in the same loop."""


@dataclass(frozen=True, slots=True)
class Replies:
    """The answers on one connection, in order."""

    answers: tuple[tuple[int, bytes], ...]
    """Statuses and bodies; informational ones have an empty body."""
    closing: bool
    """The last answer had ``Connection: close``."""
    rest: bytes
    """Bytes behind the last whole answer."""
    data: bytes
    """Everything that came."""

    @property
    def statuses(self) -> tuple[int, ...]:
        """The statuses of the answers."""
        return tuple(status for status, _ in self.answers)


def read(data: bytes) -> Replies:
    """Return the whole answers in these bytes."""
    answers: list[tuple[int, bytes]] = []
    closing, whole = False, data
    while True:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            break
        status = int(head[9:12])
        body, rest = _body(head, status, rest)
        if body is None:
            break
        closing = b"\r\nConnection: close" in head
        answers.append((status, body))
        data = rest
    return Replies(tuple(answers), closing, data, whole)


def _body(head: bytes, status: int, rest: bytes) -> tuple[bytes | None, bytes]:
    """Return the body (None if it is not whole) and what comes behind it."""
    if status < 200 or status in {204, 304}:
        return b"", rest
    if b"\r\nTransfer-Encoding: chunked" in head:
        body = b""
        while size := _CHUNK.match(rest):
            end = size.end() + int(size[1], 16)
            part, ended, rest = rest[size.end() : end], rest[end : end + 2], rest[end + 2 :]
            if ended != b"\r\n":
                break
            if not part:
                return body, rest
            body += part
        return None, b""
    length = _LENGTH.search(head + b"\r\n")
    size_now = int(length[1]) if length is not None else 0
    return (rest[:size_now], rest[size_now:]) if len(rest) >= size_now else (None, b"")


def post(target: str, body: object, header: str = "X-A: b") -> bytes:
    """Return a request with a JSON body and one more header line."""
    data = json.dumps(body).encode()
    return f"POST {target} HTTP/1.1\r\nHost: a\r\n{header}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


class _Client(asyncio.Protocol):
    def __init__(self, wanted: int) -> None:
        loop = asyncio.get_running_loop()
        self.data = b""
        self.enough: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self._wanted = wanted

    def data_received(self, data: bytes) -> None:
        self.data += data
        if not self.enough.done() and sum(status >= 200 for status in read(self.data).statuses) >= self._wanted:
            self.enough.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        for future in (self.enough, self.lost):
            if not future.done():
                future.set_result(None)


async def send_pieces(port: int, pieces: Sequence[bytes], wanted: int, *, wait_for_end: bool = False) -> Replies:
    """Send the pieces, wait for ``wanted`` final answers, and for the end of the connection.

    That end is the other side's own with ``wait_for_end``, else it is asked for by ours (FIN).
    """
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_connection(lambda: _Client(wanted), "127.0.0.1", port)
    transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        async with asyncio.timeout(DEADLINE):
            for piece in pieces:
                if transport.is_closing():
                    break
                transport.write(piece)
                if len(pieces) > 1:
                    for _ in range(TURNS):
                        await asyncio.sleep(0)
            if wanted:
                await client.enough
            if not wait_for_end and not transport.is_closing():
                transport.write_eof()
            await client.lost
    finally:
        transport.abort()
    return read(client.data)
