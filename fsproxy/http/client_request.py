"""One request as a handler sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Self

from fsproxy.core.failures import Failure
from fsproxy.core.wire.cut_head import read_cut_head
from fsproxy.core.wire.header_values import Headers, index

if TYPE_CHECKING:
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

    from fsproxy.http.connection import ClientConnection

KEEP, CLOSE = True, False
"""What a handler returns: whether the connection may carry another request."""
_READS = frozenset({"GET", "HEAD"})


def _refusal(status: str, title: str) -> bytes:
    body = b'{"type":"about:blank","title":"%b","status":%b}' % (title.encode(), status[:3].encode())
    return (
        b"HTTP/1.1 %b\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
        % (status.encode(), len(body), body)
    )


BAD_REQUEST = _refusal("400 Bad Request", "Malformed HTTP request")
HEAD_TOO_LARGE = _refusal("431 Request Header Fields Too Large", "The request's head is larger than server.max_header")


class WholeBody:
    """A body that was there with its head: the part of a ``StreamReader`` that is asked of one."""

    __slots__ = ("_data", "total_bytes")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.total_bytes = len(data)

    def is_eof(self) -> bool:
        """It ended before it was looked at."""
        return True

    def exception(self) -> None:
        """Nothing can happen to it."""

    def set_exception(self, exc: BaseException) -> None:
        """See ``exception``."""

    def read_nowait(self, _: int = -1) -> bytes:
        """All of it, once."""
        data, self._data = self._data, b""
        return data

    async def readany(self) -> bytes:
        """The same."""
        return self.read_nowait()


class ClientRequest:
    """One request: its head, and its body as it arrives."""

    __slots__ = (
        "client_left",
        "close",
        "connection",
        "headers",
        "is_http10",
        "length",
        "method",
        "on_gone",
        "payload",
        "refusal",
        "target",
        "upgrade",
    )

    def __init__(
        self,
        connection: ClientConnection,
        method: str,
        target: str,
        headers: Headers,
        length: int | None,
        payload: StreamReader | WholeBody,
    ) -> None:
        self.connection = connection
        self.method = method
        self.target = target
        """As it stands in the request line."""
        self.headers = headers
        self.length = length
        """``Content-Length``, which the parser has checked; None without one."""
        self.payload = payload
        self.close = False
        """The client's connection ends with the answer."""
        self.is_http10 = False
        self.upgrade = False
        self.refusal: Failure | None = None
        """Why it is answered without being looked at further."""
        self.client_left = False
        """The client is gone, or has ended its side, which may mean the same."""
        self.on_gone: Callable[[], None] | None = None
        """Called when the client leaves before the answer is complete; may be called twice."""

    @property
    def outlives_client(self) -> bool:
        """Whether the request goes up though its client has left: it came whole, and it may carry data (rules.md 4)."""
        return self.payload.is_eof() and self.method not in _READS

    @classmethod
    def parsed(cls, connection: ClientConnection, message: RawRequestMessage, payload: StreamReader) -> Self:
        """As aiohttp's parser read it."""
        headers = index(message.raw_headers)
        length = headers.get(b"content-length")
        request = cls(
            connection, message.method, message.path, headers, int(length) if length is not None else None, payload
        )
        request.is_http10 = message.version < (1, 1)
        # HTTP/1.0 always, as it cannot read a length's absence; after chunks always, as the parser would take their
        # last trailer for a header of the next request.
        request.close = bool(message.should_close) or request.is_http10 or b"transfer-encoding" in headers
        request.upgrade = message.upgrade
        return request

    @classmethod
    def too_large(cls, connection: ClientConnection, start: bytes) -> Self | None:
        """What came of a head over ``server.max_header``; None where no route can be told."""
        head = read_cut_head(start)
        if head is None:
            return None
        request = cls(connection, *head, None, WholeBody(b""))
        request.refusal, request.close = Failure.HEADER_TOO_LARGE, True
        return request

    @property
    def has_body(self) -> bool:
        """A body was announced, and not one of no bytes."""
        return bool(self.length) or b"transfer-encoding" in self.headers


Handling = Coroutine[Any, Any, bool]
Handler = Callable[[ClientRequest], Handling]


async def drain(payload: StreamReader | WholeBody, seconds: float) -> bool:
    """Read a body to its end and forget it; False if that took too long or broke."""
    try:
        async with asyncio.timeout(seconds):
            while await payload.readany():
                pass
    except Exception:  # noqa: BLE001 - however the body ends, it was answered
        return False
    return True
