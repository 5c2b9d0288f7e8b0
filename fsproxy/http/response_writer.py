"""From the upstream's answer to the client: framing, back-pressure, and a copy of what is looked at."""

from __future__ import annotations

import asyncio
from dataclasses import KW_ONLY, dataclass, field

from fsproxy.clock import monotonic_ns
from fsproxy.core.failures import Failure
from fsproxy.core.wire.answer_headers import downstream_block, downstream_headers
from fsproxy.core.wire.plain_head import BODILESS
from fsproxy.http.client_request import ClientRequest
from fsproxy.http.responses import ResponseHead
from fsproxy.http.upstream_exchange import UpstreamExchange

LAST_CHUNK = b"0\r\n\r\n"
MOST_DROPPED = 1024 * 1024
"""Bytes of an answer that are read for a client that is gone, so that the upstream's connection can be used again."""


@dataclass(slots=True, eq=False, repr=False)  # a repr could carry what a visitor sent into a log
class ResponseWriter:
    """A ResponseSink that writes to a client. ``done`` is set once, when the answer is over, one way or the other.

    As long as it is ``untouched``, no byte of the answer was written. A failure then leaves the client untouched, and
    the caller may still answer something of its own. Later a failure breaks the client's connection, so that a cut
    answer never looks whole (rules.md 4).

    Back-pressure: while the client does not read, its transport sets ``writing_paused``, and the exchange stops
    reading the upstream's answer. It goes on when the client's transport calls ``on_writable``.
    """

    request: ClientRequest
    done: asyncio.Future[None]
    request_id: bytes
    _: KW_ONLY
    close: bool
    """The client's connection ends with this answer, as it always does with HTTP/1.0."""
    with_cors: bool
    bundle: bool
    """The request is one of those that come first when clients have left (see ``unattended``)."""
    copy_limit: int = 0
    """How many bytes of the answer are kept in ``copy``; of a longer one, none is."""
    extra_headers: tuple[tuple[bytes, bytes], ...] = ()
    copy: bytearray | None = field(default=None, init=False)
    exchange: UpstreamExchange | None = field(default=None, init=False)
    head: ResponseHead | None = field(default=None, init=False)
    failure: Failure | None = field(default=None, init=False)
    untouched: bool = field(default=True, init=False)
    bytes_out: int = field(default=0, init=False)
    ended_ns: int = field(default=0, init=False)
    rest: bytes = field(default=b"", init=False)
    """What came from the upstream behind a 101."""
    _pending: list[bytes] = field(default_factory=list, init=False)
    """Bytes to be written when all of one read has been handled."""
    _chunked: bool = field(default=False, init=False)
    _paused: bool = field(default=False, init=False)
    _dropped: int = field(default=0, init=False)

    @property
    def keep_alive(self) -> bool:
        """Whether the client's connection may carry another request."""
        return self.failure is None and not self.close

    @property
    def is_unattended(self) -> bool:
        """Whether the exchange goes on although its client has left."""
        return not self.done.done() and self.exchange is not None and self.exchange.unattended

    def on_head(self, head: ResponseHead) -> None:
        """See ResponseSink."""
        self.head = head
        plain = head.plain
        if plain is not None and not self.extra_headers:
            block = downstream_block(plain, capture=self.with_cors)
            end = b"\r\nConnection: close\r\n\r\n" if self.close else b"\r\n\r\n"
            start = b"HTTP/1.1 %d %b%b" % (head.status, head.reason, block)
            self._pending.append(b"%b\r\nX-Request-Id: %b%b" % (start, self.request_id, end))
        else:
            self._on_any_head(head)

    def _on_any_head(self, head: ResponseHead) -> None:
        bodiless = self.request.method == "HEAD" or head.status in BODILESS or head.status == 101
        if head.length is None and not bodiless:
            # The length is not known: send chunks, or to HTTP/1.0 everything until the connection closes.
            self._chunked = not self.request.is_http10
        upgrade = head.status == 101
        lines = downstream_headers(
            tuple(head.headers), self.request_id, self.extra_headers, capture=self.with_cors, upgrade=upgrade
        )
        if self._chunked:
            lines.append((b"Transfer-Encoding", b"chunked"))
        if self.close and not upgrade:
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
        if self.copy_limit:
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        self.copy = bytearray() if self.copy is None else self.copy
        self.copy += data
        if len(self.copy) > self.copy_limit:
            self.copy, self.copy_limit = None, 0

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
            self.request.connection.abort()
        self._pending.clear()
        self._finish()

    def on_progress(self) -> None:
        """See ResponseSink: write everything that one read brought at once, head and body together."""
        if self._pending:
            self._flush()
            if self.request.connection.writing_paused and not self._paused and self.exchange is not None:
                self._paused = True
                self.exchange.pause()

    def on_writable(self) -> None:
        """Let the exchange read on, as the client reads again."""
        if self._paused and self.exchange is not None:
            self._paused = False
            self.exchange.resume()

    def on_gone(self) -> None:
        """Go on without the client if its request came whole and there is room (rules.md 4); else end the exchange."""
        exchange = self.exchange
        if exchange is None or exchange.unattended or self.done.done():
            return
        if not (self.request.outlives_client and exchange.outlive_client(bundle=self.bundle)):
            exchange.abort(Failure.CLIENT_GONE)

    def _flush(self) -> None:
        if self._pending:
            self.untouched = False
            data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
            self._pending.clear()
            if not self.request.connection.write(data):
                self._drop(len(data))

    def _drop(self, size: int) -> None:
        """Count bytes without a reader. The rest of a long answer is not waited for, as only its head is recorded."""
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
