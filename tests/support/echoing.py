"""An upstream that reads strictly and answers with what it read, so that an answer shows what went up for it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_ID = re.compile(rb"\r\nX-Request-Id: [!-~]+")
_FRAMING = re.compile(rb"\r\n(Content-Length: (\d+)|Transfer-Encoding: chunked)(?=\r\n)")
_CHUNK = re.compile(rb"([0-9a-f]+)\r\n")


@dataclass
class Echoing:
    """What came up, over all connections."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    """Whole requests: the head without its id, its framing as one length, and the body without framing."""
    strange: list[bytes] = field(default_factory=list)
    """What no strict reader could read."""
    raw: list[bytearray] = field(default_factory=list)
    """Every byte of every connection."""

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: Echoing) -> None:
        self._upstream = upstream
        self._waiting = bytearray()
        self._raw = bytearray()
        self._transport: asyncio.Transport | None = None
        upstream.raw.append(self._raw)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a server's

    def data_received(self, data: bytes) -> None:
        self._raw += data
        self._waiting += data
        while (request := self._next()) is not None:
            self._upstream.requests.append(request)
            assert self._transport is not None
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request), request))

    def _next(self) -> bytes | None:
        head, end, rest = bytes(self._waiting).partition(b"\r\n\r\n")
        if not end:
            return None
        framing = _FRAMING.findall(head + b"\r\n")
        if len(framing) > 1 or not re.match(rb"[A-Z]+ /[!-~\x80-\xff]* HTTP/1\.1\r\nHost: ", head):
            self._upstream.strange.append(bytes(self._waiting))
            self._waiting.clear()
            return None
        body: bytes | None = b""
        if framing and framing[0][1]:
            size = int(framing[0][1])
            body, rest = (rest[:size], rest[size:]) if len(rest) >= size else (None, b"")
        elif framing:
            body, rest = self._chunks(rest)
        if body is None:
            return None
        self._waiting[:] = rest
        head = _FRAMING.sub(b"", _ID.sub(b"", head) + b"\r\n")
        return head + (b"Content-Length: %d\r\n" % len(body) if framing else b"") + b"\r\n" + body

    def _chunks(self, rest: bytes) -> tuple[bytes | None, bytes]:
        body = b""
        while size := _CHUNK.match(rest):
            end = size.end() + int(size[1], 16)
            if rest[end : end + 2] != b"\r\n":
                break
            part, rest = rest[size.end() : end], rest[end + 2 :]
            if not part:
                return body, rest
            body += part
        return None, b""


@asynccontextmanager
async def echoing() -> AsyncIterator[Echoing]:
    """Such an upstream on a free port."""
    upstream = Echoing()
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(upstream), "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
