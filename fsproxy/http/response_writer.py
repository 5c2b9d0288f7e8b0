"""From the upstream's answer to the client: framing, back-pressure, and a copy of what is looked at."""

from __future__ import annotations

import asyncio

import msgspec

from fsproxy.clock import monotonic_ns
from fsproxy.core.failures import Failure
from fsproxy.core.wire.answer_headers import downstream_lines
from fsproxy.core.wire.plain_head import BODILESS, AnswerHead
from fsproxy.http.client_request import ClientRequest
from fsproxy.http.upstream_exchange import UpstreamExchange

LAST_CHUNK = b"0\r\n\r\n"
MOST_DROPPED = 1024 * 1024
"""Bytes of an answer that are read for a client that is gone, so that the upstream's connection can be used again."""


class ResponseWriter(msgspec.Struct, eq=False):
    """A ResponseSink that writes to a client. ``done`` is set once, when the answer is over, one way or the other.

    As long as it is ``untouched``, no byte of the answer was written. A failure then leaves the client untouched, and
    the caller may still answer something of its own. Later a failure breaks the client's connection, so that a cut
    answer never looks whole (rules.md 4).

    Back-pressure: while the client does not read, its transport sets ``writing_paused``, and the exchange stops
    reading the upstream's answer. It goes on when the client's transport calls ``on_writable``.
    """

    request: ClientRequest
    done: asyncio.Future[None]
    with_cors: bool
    bundle: bool
    """The request is one of those that come first when clients have left (see ``unattended``)."""
    copy_limit: int = 0
    """How many bytes of the answer are kept in ``copy``; of a longer one, none is."""
    extra_headers: tuple[tuple[bytes, bytes], ...] = ()
    copy: bytes | None = None
    exchange: UpstreamExchange | None = None
    head: AnswerHead | None = None
    failure: Failure | None = None
    untouched: bool = True
    bytes_out: int = 0
    ended_ns: int = 0
    rest: bytes = b""
    """What came from the upstream behind a 101."""
    pending: list[bytes] = []
    """Bytes to be written when all of one read has been handled."""
    chunked: bool = False
    paused: bool = False
    dropped: int = 0

    def __repr__(self) -> str:
        """Return nothing of the answer, as this could end up in a log."""
        return "<ResponseWriter>"

    @property
    def is_unattended(self) -> bool:
        """Whether the exchange goes on although its client has left."""
        return not self.done.done() and self.exchange is not None and self.exchange.unattended

    def on_whole(self, head: AnswerHead, body: bytes) -> None:
        """See ResponseSink."""
        self.head = head
        self.bytes_out = len(body)
        if len(body) <= self.copy_limit:
            self.copy = body
        self.untouched = False
        data = self._client_head(head) + body
        if not self.request.connection.write(data):
            self._drop(len(data))
        self._finish()

    def on_head(self, head: AnswerHead) -> None:
        """See ResponseSink."""
        self.head = head
        self.pending.append(self._client_head(head))

    def _client_head(self, head: AnswerHead) -> bytes:
        request = self.request
        if head.length is None and not (request.method == "HEAD" or head.status in BODILESS or head.status == 101):
            # The length is not known: send chunks, or to HTTP/1.0 everything until the connection closes.
            self.chunked = not request.is_http10
        upgrade = head.status == 101
        return b"HTTP/1.1 %d %b%b%b%b\r\n\r\n" % (
            head.status,
            head.reason,
            downstream_lines(
                head.headers,
                ((b"X-Request-Id", request.wire_id), *self.extra_headers),
                capture=self.with_cors,
                upgrade=upgrade,
            ),
            b"\r\nTransfer-Encoding: chunked" if self.chunked else b"",
            b"\r\nConnection: close" if request.close and not upgrade else b"",
        )

    def on_body(self, data: bytes) -> None:
        """See ResponseSink."""
        self.bytes_out += len(data)
        if self.chunked:
            self.pending.append(b"%x\r\n" % len(data))
            self.pending.append(data)
            self.pending.append(b"\r\n")
        else:
            self.pending.append(data)
        if self.copy_limit:
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        kept = self.copy = (self.copy or b"") + data
        if len(kept) > self.copy_limit:
            self.copy, self.copy_limit = None, 0

    def on_end(self) -> None:
        """See ResponseSink."""
        if self.chunked:
            self.pending.append(LAST_CHUNK)
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
        self.pending.clear()
        self._finish()

    def on_progress(self) -> None:
        """See ResponseSink: write everything that one read brought at once, head and body together."""
        if self.pending:
            self._flush()
            if self.request.connection.writing_paused and not self.paused and self.exchange is not None:
                self.paused = True
                self.exchange.pause()

    def on_writable(self) -> None:
        """Let the exchange read on, as the client reads again."""
        if self.paused and self.exchange is not None:
            self.paused = False
            self.exchange.resume()

    def on_gone(self) -> None:
        """Go on without the client if its request came whole and there is room (rules.md 4); else end the exchange."""
        exchange = self.exchange
        if exchange is None or exchange.unattended or self.done.done():
            return
        if not (self.request.outlives_client and exchange.outlive_client(bundle=self.bundle)):
            exchange.abort(Failure.CLIENT_GONE)

    def _flush(self) -> None:
        if self.pending:
            self.untouched = False
            data = self.pending[0] if len(self.pending) == 1 else b"".join(self.pending)
            self.pending.clear()
            if not self.request.connection.write(data):
                self._drop(len(data))

    def _drop(self, size: int) -> None:
        """Count bytes without a reader. The rest of a long answer is not waited for, as only its head is recorded."""
        self.dropped += size
        exchange = self.exchange
        if exchange is not None:
            exchange.unread = True
            if self.dropped > MOST_DROPPED:
                exchange.abort()
                self._finish()

    def _finish(self) -> None:
        self.ended_ns = monotonic_ns()
        if not self.done.done():
            self.done.set_result(None)
