"""From the upstream's answer to the client: framing, back-pressure, and a look at what passes by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from fsproxy.clock import monotonic_ns
from fsproxy.core.failures import Failure
from fsproxy.core.wire.answer_headers import downstream_block, downstream_headers
from fsproxy.core.wire.plain_head import BODILESS
from fsproxy.http.responses import ResponseHead

if TYPE_CHECKING:
    from fsproxy.http.client_request import ClientRequest
    from fsproxy.http.upstream_exchange import UpstreamExchange

LAST_CHUNK = b"0\r\n\r\n"
MOST_DROPPED = 1024 * 1024
"""Bytes of an answer that are read for a client that is gone, so that the upstream's connection can be used again."""


class ResponseWriter:
    """A ResponseSink that writes to a client. ``done`` is set once, when the answer is over, one way or the other.

    Until a byte of the answer was written, a failure leaves the client untouched (``untouched``): the
    caller may still answer something of its own. After that a failure breaks the client's connection, so
    that a cut answer never looks whole (rules.md 4).
    """

    __slots__ = (
        "_bundle",
        "_chunked",
        "_client",
        "_close",
        "_dropped",
        "_head_only",
        "_http10",
        "_paused",
        "_pending",
        "_request",
        "_request_id",
        "_with_cors",
        "bytes_out",
        "copy",
        "copy_limit",
        "done",
        "ended_ns",
        "exchange",
        "extra_headers",
        "failure",
        "head",
        "on_tunnel",
        "rest",
        "untouched",
    )

    def __init__(
        self,
        request: ClientRequest,
        done: asyncio.Future[None],
        request_id: bytes,
        *,
        close: bool,
        with_cors: bool,
        bundle: bool,
        copy_limit: int = 0,
        extra_headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self._request = request
        self._client = request.connection
        self.done = done
        self._request_id = request_id
        self._http10 = request.is_http10
        self._close = close or request.is_http10
        self._head_only = request.method == "HEAD"
        self._with_cors = with_cors
        self._bundle = bundle
        """The request is one of those that come first when clients have left (``unattended``)."""
        self._dropped = 0
        self._chunked = False
        self._paused = False
        self._pending: list[bytes] = []
        self.copy: bytearray | None = bytearray() if copy_limit else None
        self.copy_limit = copy_limit
        """The answer's first bytes are kept for a look (pages); one that is longer is not looked at."""
        self.extra_headers = extra_headers
        self.bytes_out = 0
        self.ended_ns = 0
        self.exchange: UpstreamExchange | None = None
        self.failure: Failure | None = None
        self.head: ResponseHead | None = None
        self.on_tunnel: Callable[[bytes], None] | None = None
        self.rest = b""
        self.untouched = True

    @property
    def keep_alive(self) -> bool:
        """Whether the client's connection may carry another request."""
        return self.failure is None and not self._close

    @property
    def is_unattended(self) -> bool:
        """Whether the exchange goes on although its client has left."""
        return not self.done.done() and self.exchange is not None and self.exchange.unattended

    def on_head(self, head: ResponseHead) -> None:
        """See ResponseSink."""
        self.head = head
        plain = head.plain
        if plain is not None and not self.extra_headers:
            block = downstream_block(plain, capture=self._with_cors)
            end = b"\r\nConnection: close\r\n\r\n" if self._close else b"\r\n\r\n"
            start = b"HTTP/1.1 %d %b%b" % (head.status, head.reason, block)
            self._pending.append(b"%b\r\nX-Request-Id: %b%b" % (start, self._request_id, end))
        else:
            self._on_any_head(head)

    def _on_any_head(self, head: ResponseHead) -> None:
        bodiless = self._head_only or head.status in BODILESS or head.status == 101
        if head.length is None and not bodiless:
            # Of unknown length: chunks, or for HTTP/1.0 until the connection closes.
            self._chunked = not self._http10
        upgrade = head.status == 101
        lines = downstream_headers(
            tuple(head.headers), self._request_id, self.extra_headers, capture=self._with_cors, upgrade=upgrade
        )
        if self._chunked:
            lines.append((b"Transfer-Encoding", b"chunked"))
        if self._close and not upgrade:
            lines.append((b"Connection", b"close"))
        start = b"HTTP/1.1 %d %b" % (head.status, head.reason)
        self._pending.append(b"\r\n".join([start, *map(b": ".join, lines), b"\r\n"]))

    def on_body(self, data: bytes) -> None:
        """See ResponseSink."""
        self.bytes_out += len(data)
        if self._chunked:
            self._pending.append(b"%x\r\n" % len(data))
            self._pending.append(data)
            self._pending.append(b"\r\n")
        else:
            self._pending.append(data)
        if self.copy is not None:
            if len(self.copy) + len(data) <= self.copy_limit:
                self.copy += data
            else:
                self.copy = None

    def on_end(self) -> None:
        """See ResponseSink."""
        if self._chunked:
            self._pending.append(LAST_CHUNK)
        self._flush()
        self._finish()

    def on_upgrade(self, rest: bytes) -> None:
        """See ResponseSink."""
        self.rest = rest
        self._flush()
        self._finish()

    def on_broken(self, failure: Failure) -> None:
        """See ResponseSink."""
        if self.done.done():
            return
        self.failure = failure
        if not self.untouched:
            self._client.abort()
        self._pending.clear()
        self._finish()

    def on_progress(self) -> None:
        """See ResponseSink: one write for all that one read brought, head and body together."""
        if self._pending:
            self._flush()
            if self._client.writing_paused and not self._paused and self.exchange is not None:
                self._paused = True
                self.exchange.pause()

    def on_writable(self) -> None:
        """The client reads again."""
        if self._paused and self.exchange is not None:
            self._paused = False
            self.exchange.resume()

    def on_gone(self) -> None:
        """The client has left: a request that came whole goes on without it, as far as there is room (rules.md 4)."""
        exchange = self.exchange
        if exchange is None or exchange.unattended or self.done.done():
            return
        if not (self._request.outlives_client and exchange.outlive_client(bundle=self._bundle)):
            exchange.abort(Failure.CLIENT_GONE)

    def _flush(self) -> None:
        if self._pending:
            self.untouched = False
            data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
            self._pending.clear()
            if not self._client.write(data):
                self._drop(len(data))

    def _drop(self, size: int) -> None:
        """Nothing reads the answer. The rest of a long one is not waited for: what it says stands in its head."""
        self._dropped += size
        exchange = self.exchange
        if exchange is not None:
            exchange.unread = True
            if self._dropped > MOST_DROPPED:
                exchange.abort()
                self._finish()

    def _finish(self) -> None:
        self.ended_ns = monotonic_ns()
        if not self.done.done():
            self.done.set_result(None)
