"""An upstream that sends bytes which no HTTP library would: cut, broken, or nothing at all."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self, cast

from fsproxy.fleet.queues import close_listeners


def abort(transport: asyncio.BaseTransport | None) -> None:
    """Resets a connection (RST, not FIN)."""
    if transport is not None:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        cast("asyncio.Transport", transport).abort()  # uvloop's is one in all but name


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """Bytes that are sent as they are after one whole request was read, and what happens then."""

    data: bytes
    then: str = "keep"
    """``keep`` the connection for the next answer, ``close`` it, ``reset`` it, or ``hold`` it open in silence."""


@dataclass
class RawUpstream:
    """``async with RawUpstream([RawAnswer(...), ...])``: answers requests in turn with raw bytes.

    For what no HTTP library would send: cut bodies, bad heads, a close at any byte. When the answers are used up,
    the connection is closed without one.
    """

    answers: list[RawAnswer]
    port: int = 0
    received: list[bytes] = field(default_factory=list)
    """Each request's bytes, head and body."""
    connections: int = 0

    def __post_init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._done = asyncio.Event()
        self._serving: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        """Listens."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops, and ends every connection."""
        self._done.set()
        if self._server is not None:
            await close_listeners([self._server])
        for writer in self._serving.values():
            writer.transport.abort()
        await asyncio.gather(*(task for task in self._serving if task is not None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._serving[asyncio.current_task()] = writer
        try:
            await self._answer_in_turn(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the proxy went away, which a test may want
        finally:
            writer.close()
            del self._serving[asyncio.current_task()]

    async def _answer_in_turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.received.append(head + await _body(reader, head))
            if not self.answers:
                return
            answer = self.answers.pop(0)
            writer.write(answer.data)
            await writer.drain()
            if answer.then == "hold":
                await self._done.wait()
            if answer.then == "reset":
                abort(writer.transport)
            if answer.then != "keep":
                return


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if length is not None:
        return await reader.readexactly(int(length[1]))
    if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        return await _chunks(reader)
    return b""


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body as it came, without trailers."""
    body = b""
    while True:
        size = await reader.readuntil(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        body += size + await reader.readexactly(length + 2)
        if length == 0:
            return body


@asynccontextmanager
async def silent_upstream() -> AsyncIterator[int]:
    """A port that accepts connections, reads, and never answers a byte."""
    async with RawUpstream([RawAnswer(b"", then="hold") for _ in range(1000)]) as upstream:
        yield upstream.port
