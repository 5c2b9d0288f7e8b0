"""A client and a server that hide nothing: every byte of HTTP/1.1 is the test's own, and framing is read strictly."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

DEADLINE = 120.0
"""Seconds after which a test that waits has failed."""
LIMIT = 2**26


class CutError(Exception):
    """The connection ended in the middle of an answer; ``partial`` is what was there of the body."""

    def __init__(self, partial: bytes = b"") -> None:
        super().__init__(f"cut after {len(partial)} bytes of body")
        self.partial = partial


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One answer, with its headers as they came."""

    status: int
    reason: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    chunked: bool
    version: bytes

    def values(self, name: str) -> list[bytes]:
        """All values of one header, compared without case."""
        return [value for key, value in self.headers if key.lower() == name.lower().encode()]

    def value(self, name: str) -> bytes | None:
        """The header's value, None without one; one that came twice fails the test."""
        values = self.values(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


@dataclass
class RawClient:
    """One connection to a server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *parts: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(b"".join(parts))
        async with asyncio.timeout(DEADLINE):
            await self.writer.drain()

    async def ask(self, *parts: bytes, head_only: bool = False) -> RawAnswer:
        """Send bytes and read one answer."""
        await self.send(*parts)
        return await self.answer(head_only=head_only)

    async def head(self) -> tuple[bytes, int, bytes, tuple[tuple[bytes, bytes], ...]]:
        """Read one head: version, status, reason, headers. Raises CutError."""
        try:
            async with asyncio.timeout(DEADLINE):
                head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            raise CutError from None
        start, *lines = head[:-4].split(b"\r\n")
        version, status, reason = [*start.split(b" ", 2), b""][:3]
        pairs = [line.split(b":", 1) for line in lines]
        assert all(len(pair) == 2 for pair in pairs), head
        return version, int(status), reason, tuple((name, value.strip(b" \t")) for name, value in pairs)

    async def answer(self, *, head_only: bool = False) -> RawAnswer:
        """Read one final answer; informational ones are skipped. Raises CutError when it is not whole."""
        status = 100
        while status < 200 and status != 101:
            version, status, reason, headers = await self.head()
        lengths = [value for name, value in headers if name.lower() == b"content-length"]
        chunked = any(name.lower() == b"transfer-encoding" for name, _ in headers)
        assert not (lengths and chunked), "framed twice"
        assert len(lengths) < 2, "two lengths"
        async with asyncio.timeout(DEADLINE):
            if head_only or status in {101, 204, 304}:
                body = b""
            elif chunked:
                body = await self._chunks()
            elif lengths:
                body = await self._exactly(int(lengths[0]))
            else:
                body = await self.rest()
        return RawAnswer(status, reason, headers, body, chunked, version)

    async def rest(self) -> bytes:
        """All that still comes until the other side closes in good order. Raises CutError when it does not."""
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(DEADLINE):
                while part := await self.reader.read(2**16):
                    parts.append(part)
        except ConnectionError:
            raise CutError(b"".join(parts)) from None
        return b"".join(parts)

    async def closed(self) -> bool:
        """Waits until the other side ends the connection; False when bytes came before that."""
        try:
            return await self.rest() == b""
        except CutError as cut:
            return cut.partial == b""

    async def _exactly(self, size: int) -> bytes:
        try:
            return await self.reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            raise CutError(error.partial) from None
        except ConnectionError:
            raise CutError from None

    async def _chunks(self) -> bytes:
        parts: list[bytes] = []
        try:
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                part = await self.reader.readexactly(size + 2)
                assert part.endswith(b"\r\n"), part[-2:]
                parts.append(part[:-2])
            assert await self.reader.readexactly(2) == b"\r\n"
        except (asyncio.IncompleteReadError, ConnectionError):
            raise CutError(b"".join(parts)) from None
        return b"".join(parts)

    def abort(self) -> None:
        """End the connection at once."""
        self.writer.transport.abort()


@asynccontextmanager
async def raw_client(port: int = 0, *, unix: str | None = None, **options: Any) -> AsyncIterator[RawClient]:
    """A connection to 127.0.0.1, or to a unix socket."""
    options = {"limit": LIMIT, **options}
    async with asyncio.timeout(DEADLINE):
        if unix is not None:
            reader, writer = await asyncio.open_unix_connection(unix, **options)
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(DEADLINE):
                await writer.wait_closed()


async def eventually(condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    """Returns once the condition holds; fails the test when it does not in time."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError("did not come about in time") from None


Serve = Callable[["ServerSide"], Awaitable[None]]


@dataclass
class ServerSide:
    """One connection to a server of the test's, as its script sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    """From 0, in the order in which they were accepted."""

    async def request(self) -> bytes:
        """The head of the next request. Raises IncompleteReadError at the end of the connection."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def whole_request(self) -> bytes:
        """The next request with its body, if that has a length."""
        head = await self.request()
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        return head + (await self.reader.readexactly(int(length[1])) if length else b"")

    async def say(self, *parts: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    def reset(self) -> None:
        """End the connection with a reset."""
        sock = self.writer.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class Scripted:
    """A server that does on each connection what a function of the test's says."""

    port: int
    connections: list[ServerSide] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def scripted(serve: Serve, **options: Any) -> AsyncIterator[Scripted]:
    """A server on a free port; each connection is closed when ``serve`` returns."""
    server_side = Scripted(0)
    tasks: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        side = ServerSide(reader, writer, len(server_side.connections))
        server_side.connections.append(side)
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(side)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the proxy went away, or the test is over
        finally:
            writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0, **{"limit": LIMIT, **options})
    server_side.port = server.sockets[0].getsockname()[1]
    try:
        yield server_side
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for side in server_side.connections:
            side.writer.transport.abort()
