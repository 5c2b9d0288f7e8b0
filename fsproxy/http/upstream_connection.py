"""One connection to the upstream, one state machine (hence its length): bytes go out, answers come in by callbacks.

httptools (llhttp, strict) parses, nothing is decoded. One exchange at a time; kept after a clean answer only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from fsproxy.core.failures import Failure
from fsproxy.core.wire.plain_head import BODILESS, KnownHeads, PlainAnswer
from fsproxy.core.wire.status_line import StatusLines
from fsproxy.http.responses import ResponseHead, ResponseReader

MAX_HEAD = 64 * 1024
"""Bytes of an answer's head, informational ones included."""
MAX_INFORMATIONAL = 16


def _nobody(_: UpstreamConnection) -> None:
    """Who is told of a connection that was forgotten."""


class UpstreamConnection(asyncio.Protocol):
    """See the module. ``reader`` is None while the connection is idle."""

    __slots__ = (
        "_head",
        "_head_bytes",
        "_head_only",
        "_in_body",
        "_informational",
        "_known_heads",
        "_may_upgrade",
        "_on_lost",
        "_parser",
        "_plain_limit",
        "_reader",
        "_status_lines",
        "_tunnel",
        "_until_eof",
        "answering",
        "exchanges",
        "idle_since",
        "on_resume",
        "share",
        "transport",
        "writing_paused",
    )

    def __init__(self, on_lost: Callable[[UpstreamConnection], None], heads: KnownHeads, plain_limit: int) -> None:
        self._on_lost = on_lost
        self._known_heads = heads
        self._plain_limit = plain_limit
        self._reader: ResponseReader | None = None
        self._tunnel: Callable[[bytes], None] | None = None
        self._head = ResponseHead()
        self._head_bytes = 0
        self._informational = 0
        self._status_lines = StatusLines()
        self._in_body = self._head_only = self._may_upgrade = self._until_eof = False
        self.answering = False
        """A byte of the current answer has come: the request may not be sent again."""
        self.exchanges = 0
        self.idle_since = 0.0
        self.share: int | None = None
        """The pool's: what it is held for (``pool.Share``); None while it is idle."""
        self.transport: asyncio.Transport | None = None
        self.writing_paused = False
        self.on_resume: Callable[[], None] | None = None
        """Called when the socket of a tunnel takes more."""

    # -- the exchange's side

    def begin(self, reader: ResponseReader, *, head_only: bool, upgrade: bool = False) -> None:
        """Take the connection for one exchange.

        ``head_only``: the answer to a HEAD has no body. ``upgrade``: one was asked for, so that 101 is an answer.
        """
        self._reader = reader
        self._head = ResponseHead()
        self._head_bytes = self._informational = 0
        self._status_lines.again()
        self._in_body = self._until_eof = self.answering = False
        self._head_only = head_only
        self._may_upgrade = upgrade
        self.exchanges += 1

    def write(self, data: bytes) -> None:
        """Send bytes of the request."""
        if self.transport is not None:
            self.transport.write(data)

    def pause(self) -> None:
        """Read no more of the answer until ``resume``."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def abort(self) -> None:
        """Drop the connection; its reader hears nothing more."""
        self._reader = None
        if self.transport is not None:
            self.transport.abort()

    def forget(self) -> None:
        """Drop it, and tell nobody when it is lost."""
        self._on_lost = _nobody
        self.abort()

    def tunnel(self, on_data: Callable[[bytes], None]) -> None:
        """After a 101: everything that comes goes to ``on_data`` (``b""``: the end)."""
        self._tunnel = on_data

    @property
    def usable(self) -> bool:
        """Open, and not in use."""
        return self.transport is not None and not self.transport.is_closing() and self._reader is None

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        self.transport = cast("asyncio.Transport", transport)
        self._parser: httptools.HttpResponseParser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of the answer."""
        if self._tunnel is not None:
            self._tunnel(data)
            return
        reader = self._reader
        if reader is None:
            # Nobody asked: a connection that speaks unbidden must not carry another request.
            self.abort()
            return
        if not (self.answering or self._head_only or self._may_upgrade):
            plain = self._known_heads.read_answer(data, self._plain_limit)
            if plain is not None:
                self._answer(reader, plain, data[plain.end :])
                return
        self.answering = True
        if not self._in_body:
            self._head_bytes += len(data)
        try:
            data = self._begin_heads(data)
            self._parser.feed_data(data)
            if not self._in_body and self._head_bytes > MAX_HEAD:
                self._break(Failure.UPSTREAM_INVALID)
        except httptools.HttpParserUpgrade as upgrade:
            if self._may_upgrade:
                self._upgrade(reader, data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._break(Failure.UPSTREAM_INVALID)
        reader.on_progress()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: gone. An answer that was to last until now is complete, any other is cut."""
        self.transport = None
        # A cycle: a reload in the life of this connection has kept it from collection for good.
        del self._parser
        self._on_lost(self)
        if self._tunnel is not None:
            self._tunnel(b"")
            self._tunnel = self.on_resume = None
            return
        reader = self._reader
        if reader is None:
            return
        self._reader = None
        if self._until_eof and self._in_body and exc is None:
            reader.on_end()
        elif self.answering:
            reader.on_broken(Failure.UPSTREAM_CUT)
        else:
            reader.on_broken(Failure.UPSTREAM_RESET)
        reader.on_progress()
        reader.on_writable()

    def pause_writing(self) -> None:
        """asyncio: the socket takes no more."""
        self.writing_paused = True

    def resume_writing(self) -> None:
        """asyncio: the socket takes more."""
        self.writing_paused = False
        if self.on_resume is not None:
            self.on_resume()
        elif self._reader is not None:
            self._reader.on_writable()

    def _begin_heads(self, data: bytes) -> bytes:
        """Check the status lines in ``data`` and return what follows the final one; what comes before it is parsed.

        The parser gets the lines one by one: it goes on from an informational answer to the next head by itself. So
        many lines are no head that more than ``MAX_HEAD`` bytes are not looked at.
        """
        lines, at = self._status_lines, 0
        while at < len(data) and not lines.is_final and self._reader is not None:
            stop = data.find(b"\n", at) + 1 or len(data)
            piece, at = data[at:stop], stop
            if at > MAX_HEAD or (not lines.status and not lines.take(piece)):
                self._break(Failure.UPSTREAM_INVALID)
                return b""
            self._parser.feed_data(piece)
        return data[at:]

    def _answer(self, reader: ResponseReader, plain: PlainAnswer, body: bytes) -> None:
        """The fast lane: a plain answer that came whole, to a parser that holds nothing. It hears nothing of it."""
        self._reader = None
        reader.on_head(ResponseHead.of(plain, len(body)))
        if body:
            reader.on_body(body)
        reader.on_end()
        reader.on_progress()

    # -- httptools' side

    def on_message_begin(self) -> None:
        """httptools: a message begins; one that follows a complete answer was asked for by nobody."""
        if self._reader is None and self.transport is not None:
            self.transport.abort()

    def on_status(self, status: bytes) -> None:
        """httptools: the reason phrase."""
        self._head.reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one header (or, after the body, a trailer: dropped)."""
        if not self._in_body:
            self._head.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """httptools: the head is complete."""
        head = self._head
        status = head.status = self._parser.get_status_code()
        if status < 200 and status != 101:
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                self._break(Failure.UPSTREAM_INVALID)
            return
        if status == 101 and not (self._may_upgrade and self._parser.should_upgrade()):
            self._break(Failure.UPSTREAM_INVALID)
            return
        # HTTP/1.0 knows no transfer coding: its readers would take the chunks' sizes for the body (RFC 9112 6.1).
        if not head.read_framing() or (head.chunked and self._parser.get_http_version() == "1.0"):
            self._break(Failure.UPSTREAM_INVALID)
            return
        self._in_body = True
        self._until_eof = head.length is None and not head.chunked and status not in BODILESS
        reader = self._reader
        if reader is None:
            return
        reader.on_head(head)
        if self._head_only:
            # The parser cannot be told that no body follows: this connection ends here.
            self._reader = None
            reader.on_end()
            if self.transport is not None:
                self.transport.close()

    def on_body(self, body: bytes) -> None:
        """httptools: bytes of the body."""
        if self._reader is not None:
            self._reader.on_body(body)

    def on_message_complete(self) -> None:
        """httptools: a whole message; informational ones are only a prelude."""
        if not self._in_body:
            self._head = ResponseHead()
            self._status_lines.again()
            return
        if self._head.status == 101:
            # The parser raises HttpParserUpgrade next: the exchange goes on as a tunnel.
            return
        reader, self._reader = self._reader, None
        if not self._parser.should_keep_alive() and self.transport is not None:
            self.transport.close()
        if reader is not None:
            reader.on_end()

    def _upgrade(self, reader: ResponseReader, rest: bytes) -> None:
        self._reader = None
        reader.on_upgrade(rest)

    def _break(self, failure: Failure) -> None:
        reader, self._reader = self._reader, None
        self._may_upgrade = False
        if self.transport is not None:
            self.transport.abort()
        if reader is not None:
            reader.on_broken(failure)
