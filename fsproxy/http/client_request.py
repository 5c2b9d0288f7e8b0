"""One request as a handler sees it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Self

import msgspec

from fsproxy.core.failures import Failure
from fsproxy.core.wire.cut_head import read_cut_head
from fsproxy.core.wire.header_values import Headers, index
from fsproxy.http.aiohttp_parts import RawRequestMessage
from fsproxy.http.client_transport import ClientTransport
from fsproxy.http.inline_task import InlineTask
from fsproxy.http.payload import Payload, WholeBody

KEEP, CLOSE = True, False
"""What a handler returns: whether the connection may carry another request."""
_READS = frozenset({"GET", "HEAD"})


class ClientRequest(msgspec.Struct, eq=False):
    """One request: its head, and its body as it arrives.

    The program's own kind of request (``proxy.flow.Flow``) is made from this one, so that no second object repeats it.
    """

    connection: ClientTransport
    method: str
    target: str
    """As the client wrote it in the request line."""
    headers: Headers
    length: int | None
    """``Content-Length``, which the parser has checked; None without one."""
    payload: Payload
    close: bool = False
    """The client's connection ends with the answer."""
    is_http10: bool = False
    upgrade: bool = False
    refusal: Failure | None = None
    """Why the request is refused without being looked at further."""
    client_left: bool = False
    """The client is gone, or has ended its side, which may mean the same."""
    on_gone: Callable[[], None] | None = None
    """Called when the client leaves before the answer is complete. It may be called twice."""
    task: InlineTask | None = None
    """Runs the handler."""
    wire_id: bytes = b""
    """The request's id, as the upstream and the client see it in ``X-Request-Id``."""

    def __repr__(self) -> str:
        """Return nothing of what a visitor sent, as this could end up in a log."""
        return f"<{type(self).__name__}>"

    @classmethod
    def parsed(cls, connection: ClientTransport, message: RawRequestMessage, payload: Payload) -> Self:
        """Return the request that aiohttp's parser has read."""
        headers = index(message.raw_headers)
        length = headers.get(b"content-length")
        request = cls(
            connection, message.method, message.path, headers, int(length) if length is not None else None, payload
        )
        request.is_http10 = message.version < (1, 1)
        # A client of HTTP/1.0 cannot tell where an answer without a length ends. After a chunked body the parser would
        # take the last trailer for a header of the next request.
        request.close = bool(message.should_close) or request.is_http10 or b"transfer-encoding" in headers
        request.upgrade = message.upgrade
        return request

    @classmethod
    def cut(cls, connection: ClientTransport, start: bytes) -> Self | None:
        """Return a request from the ``start`` of a head that is too large; None if not even its route is known."""
        head = read_cut_head(start)
        if head is None:
            return None
        request = cls(connection, *head, None, WholeBody(b""))
        request.refuse_head()
        return request

    def refuse_head(self) -> None:
        """Have the handler refuse this request because its head is larger than ``server.max_header``."""
        self.refusal, self.close = Failure.HEADER_TOO_LARGE, True

    @property
    def outlives_client(self) -> bool:
        """Whether the request goes up though its client has left: it is whole, and it may carry data (rules.md 4)."""
        return self.payload.is_eof() and self.method not in _READS


Handler = Callable[[Any], Coroutine[Any, Any, bool]]
"""Answers a request of the server's own kind."""
