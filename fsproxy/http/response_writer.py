"""From the upstream's answer to the client: framing, back-pressure, and a copy of what is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from fsproxy.clock import monotonic_ns
from fsproxy.core.failures import Failure
from fsproxy.core.wire.answer_headers import downstream_lines
from fsproxy.core.wire.plain_head import BODILESS, AnswerHead
from fsproxy.http.client_request import ClientRequest
from fsproxy.http.upstream.exchange import UpstreamExchange

LAST_CHUNK = b"0\r\n\r\n"
MOST_DROPPED = 1024 * 1024
"""Bytes of an answer that are read for a client that is gone, so that the upstream's connection can be used again."""


class ResponseWriter(UpstreamExchange, eq=False, kw_only=True):
    """An exchange whose answer goes to a client. ``done`` is set once, when it is over, one way or the other.

    As long as it is ``untouched``, no byte of the answer was written. A failure then leaves the client untouched, and
    the caller may still answer something of its own. Later a failure breaks the client's connection, so that a cut
    answer never looks whole (rules.md 4).

    Back-pressure: while the client does not read, its transport sets ``writing_paused``, and the exchange pauses. It
    goes on when the client's transport calls ``resume``.
    """

    request: ClientRequest
    done: asyncio.Future[None]
    with_cors: bool = False
    restore: Callable[[bytes], bytes] | None = None
    """Changes the answer's lines."""
    bundle: bool = False
    """The request is one of those that come first when clients have left (see ``unattended``)."""
    copy_limit: int = 0
    """How many bytes of the answer are kept in ``copy``; of a longer one, none is."""
    rejected: int = 0
    """The number in ``FSProxy-Rejected``; 0: there is no such header."""
    copy: bytes | None = None
    head: AnswerHead | None = None
    failure: Failure | None = None
    untouched: bool = True
    bytes_out: int = 0
    ended_ns: int = 0
    pending: list[bytes] = msgspec.field(default_factory=list)
    """Bytes to be written when all of one read has been handled."""
    chunked: bool = False
    dropped: int = 0

    def __repr__(self) -> str:
        """Return nothing of the request or the answer, as this could end up in a log."""
        return f"<{type(self).__name__}>"

    @property
    def is_unattended(self) -> bool:
        """Whether the exchange goes on although its client has left."""
        return self.unattended and not self.done.done()

    def on_whole(self, head: AnswerHead, body: bytes) -> None:
        """See ResponseReader."""
        connection, early = self.connection, self.streamed and not self.body_ended
        self._end()
        self.head, self.bytes_out, self.untouched = head, len(body), False
        if len(body) <= self.copy_limit:
            self.copy = body
        self.request.connection.write(self._client_head(head) + body)
        if connection is not None:
            if early:
                connection.abort()  # see on_end
            else:
                self.pool.give_back(connection)
        self.ended_ns = monotonic_ns()
        if not self.done.done():
            task = self.request.task
            if task is not None:
                task.wake(self.done)
            else:
                self.done.set_result(None)

    def on_head(self, head: AnswerHead) -> None:
        """See ResponseReader."""
        self.head = head
        self.pending.append(self._client_head(head))

    def _client_head(self, head: AnswerHead) -> bytes:
        request, status = self.request, head.status
        upgrade = status == 101
        lines = downstream_lines(head.headers, request.wire_id, self.rejected, capture=self.with_cors, upgrade=upgrade)
        if self.restore is not None:
            lines = self.restore(lines)
        if head.length is None and not (self.head_only or status in BODILESS or upgrade or request.is_http10):
            # The length is not known: send chunks, or to HTTP/1.0 everything until the connection closes.
            self.chunked = True
            lines += b"\r\nTransfer-Encoding: chunked"
        if request.close and not upgrade:
            lines += b"\r\nConnection: close"
        return b"HTTP/1.1 %d %b%b\r\n\r\n" % (status, head.reason, lines)

    def on_body(self, data: bytes) -> None:
        """See ResponseReader."""
        self.bytes_out += len(data)
        if self.chunked:
            self.pending += (b"%x\r\n" % len(data), data, b"\r\n")
        else:
            self.pending.append(data)
        if self.copy_limit:
            kept = self.copy = (self.copy or b"") + data
            if len(kept) > self.copy_limit:
                self.copy, self.copy_limit = None, 0

    def complete(self) -> None:
        """See UpstreamExchange."""
        if self.chunked:
            self.pending.append(LAST_CHUNK)
        self.flush()
        self._finish()

    def fail(self, failure: Failure) -> None:
        """See UpstreamExchange."""
        if self.done.done():
            return
        self.failure = failure
        if not self.untouched:
            self.request.connection.abort()
        self.pending.clear()
        self._finish()

    def flush(self) -> None:
        """Write everything that one read brought at once, head and body together."""
        if not self.pending:
            return
        self.untouched = False
        data = b"".join(self.pending)
        self.pending.clear()
        client = self.request.connection
        if not client.write(data):
            self._drop(len(data))
        if client.writing_paused and not (self.paused or self.ended):
            self.pause()

    def on_gone(self) -> None:
        """Go on without the client if its request came whole and there is room (rules.md 4); else end the exchange."""
        if self.unattended or self.done.done():
            return
        if not (self.request.outlives_client and self.outlive_client(bundle=self.bundle)):
            self.abort(Failure.CLIENT_GONE)

    def _drop(self, size: int) -> None:
        """Count bytes without a reader. The rest of a long answer is not waited for, as only its head is recorded."""
        self.dropped += size
        self.unread = True
        if self.dropped > MOST_DROPPED:
            self.abort()
            self._finish()

    def _finish(self) -> None:
        self.ended_ns = monotonic_ns()
        if not self.done.done():
            self.done.set_result(None)
