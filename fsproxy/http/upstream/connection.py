"""The upstream's answers: bytes come in, and go out as calls of a ``ResponseReader``.

On the general lane httptools (llhttp, strict) parses the answers. Nothing is decoded. A connection carries one
exchange at a time, and is kept only after an answer that ended cleanly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httptools

from fsproxy.core.failures import Failure
from fsproxy.core.wire.header_values import index
from fsproxy.core.wire.plain_head import BODILESS, AnswerHead, read_answer
from fsproxy.core.wire.status_line import StatusLines
from fsproxy.http.upstream.responses import ResponseReader
from fsproxy.http.upstream.transport import UpstreamTransport

MAX_HEAD = 64 * 1024
"""Bytes of an answer's head, informational ones included."""
MAX_INFORMATIONAL = 16


class UpstreamConnection(UpstreamTransport):
    """A connection to the upstream. It calls its reader for each part of the answer to the current exchange."""

    __slots__ = (
        "_has_fast_lane",
        "_head_bytes",
        "_head_only",
        "_in_body",
        "_informational",
        "_lines",
        "_may_upgrade",
        "_on_lost",
        "_parser",
        "_reason",
        "_status",
        "_status_lines",
        "_until_eof",
        "answering",
    )

    def __init__(self, on_lost: Callable[[UpstreamConnection], None], shortest: float, *, has_fast_lane: bool) -> None:
        super().__init__(shortest)
        self._on_lost: Callable[[UpstreamConnection], None] | None = on_lost
        self._has_fast_lane = has_fast_lane
        self._status_lines = StatusLines()
        self._head_only = self._may_upgrade = False
        self.answering = False
        """A byte of the current answer has come on the general lane, so the request may not be sent again."""

    def begin(self, reader: ResponseReader, request: bytes, *, head_only: bool, upgrade: bool = False) -> None:
        """Take the connection for one exchange, and send its request, or the head of one that is streamed.

        ``head_only``: the answer to a HEAD has no body. ``upgrade``: one was asked for, so that 101 is an answer.
        """
        self._reader = reader
        self.answering = False
        self._head_only = head_only
        self._may_upgrade = upgrade
        self.exchanges += 1
        if self.transport is not None:
            self.transport.write(request)

    def forget(self) -> None:
        """Break the connection without a call to its reader, nor to ``on_lost`` when it is gone."""
        self._on_lost = None
        self.abort()

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        super().connection_made(transport)
        self._parser: httptools.HttpResponseParser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of the answer."""
        if self._tunnel is not None:
            self._tunnel(data)
            return
        reader = self._reader
        if reader is None:
            # Bytes without a request: the next answer on this connection could be taken for another request's.
            self.abort()
            return
        if not self.answering:
            if self._has_fast_lane and not (self._head_only or self._may_upgrade):
                whole = read_answer(data, MAX_HEAD)
                if whole is not None:
                    self._reader = None
                    reader.on_whole(*whole)
                    return
            self._begin_general()
        self._take_general(reader, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: gone. An answer that lasts until the end is complete, any other one is cut."""
        # The parser and this object refer to each other. If a reload came meanwhile, the garbage collector never looks
        # at them again.
        del self._parser
        if self._on_lost is not None:
            self._on_lost(self)
        super().connection_lost(exc)
        reader, self._reader = self._reader, None
        if reader is None:
            return
        if not self.answering:
            reader.on_broken(Failure.UPSTREAM_RESET)
        elif self._until_eof and self._in_body and exc is None:
            reader.on_end()
        else:
            reader.on_broken(Failure.UPSTREAM_CUT)
        reader.on_progress()
        reader.on_writable()

    # -- the lanes

    def _begin_general(self) -> None:
        self.answering = True
        self._status, self._reason = 0, b""
        self._lines: list[tuple[bytes, bytes]] = []
        self._head_bytes = self._informational = 0
        self._status_lines.again()
        self._in_body = self._until_eof = False

    def _take_general(self, reader: ResponseReader, data: bytes) -> None:
        if not self._in_body:
            self._head_bytes += len(data)
        try:
            data = self._begin_heads(data)
            self._parser.feed_data(data)
            if not self._in_body and self._head_bytes > MAX_HEAD:
                self._break(Failure.UPSTREAM_INVALID)
        except httptools.HttpParserUpgrade as upgrade:
            if self._may_upgrade:
                self._reader = None
                reader.on_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._break(Failure.UPSTREAM_INVALID)
        reader.on_progress()

    def _begin_heads(self, data: bytes) -> bytes:
        """Check the status lines in ``data`` and return what follows the final one. What comes before it is parsed.

        The parser accepts status lines that we do not (see ``status_line``), and continues from an informational answer
        to the next head by itself. So it gets the bytes line by line until the final status line was checked. Lines
        behind the first ``MAX_HEAD`` bytes are not looked at, as no head is that long.
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

    def _break(self, failure: Failure) -> None:
        reader, self._reader = self._reader, None
        self._may_upgrade = False
        if self.transport is not None:
            self.transport.abort()
        if reader is not None:
            reader.on_broken(failure)

    # -- httptools' side

    def on_message_begin(self) -> None:
        """httptools: a message begins. One that follows a complete answer belongs to no request."""
        if self._reader is None and self.transport is not None:
            self.transport.abort()

    def on_status(self, status: bytes) -> None:
        """httptools: the reason phrase."""
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one header; or, after the body, a trailer, which is dropped."""
        if not self._in_body:
            self._lines.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """httptools: the head is complete."""
        status = self._status = self._parser.get_status_code()
        if status < 200 and status != 101:
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                self._break(Failure.UPSTREAM_INVALID)
            return
        if status == 101 and not (self._may_upgrade and self._parser.should_upgrade()):
            self._break(Failure.UPSTREAM_INVALID)
            return
        headers = index(tuple(self._lines))
        length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
        # Another coding than chunked was not asked for, and would go on without its name, which is for one hop only.
        # Chunked twice is not allowed (RFC 9112 6.1) and may hide chunks within chunks. HTTP/1.0 knows no coding: its
        # readers would take the chunks' sizes for the body.
        if coding is not None and (coding.lower() != b"chunked" or self._parser.get_http_version() == "1.0"):
            self._break(Failure.UPSTREAM_INVALID)
            return
        self._in_body = True
        self._until_eof = length is None and coding is None and status not in BODILESS
        reader = self._reader
        if reader is None:
            return
        reader.on_head(
            AnswerHead(status, self._reason, headers, None if length is None else int(length), coding is not None)
        )
        if self._head_only:
            # The parser expects the body that the head describes. Nothing makes it know that there is none, so this
            # connection ends here.
            self._reader = None
            reader.on_end()
            if self.transport is not None:
                self.transport.close()

    def on_body(self, body: bytes) -> None:
        """httptools: bytes of the body."""
        if self._reader is not None:
            self._reader.on_body(body)

    def on_message_complete(self) -> None:
        """httptools: a message is complete. After an informational one, the next head follows."""
        if not self._in_body:
            self._reason, self._lines = b"", []
            self._status_lines.again()
            return
        if self._status == 101:
            # The parser raises HttpParserUpgrade next: the exchange goes on as a tunnel.
            return
        reader, self._reader = self._reader, None
        if not self._parser.should_keep_alive() and self.transport is not None:
            self.transport.close()
        if reader is not None:
            reader.on_end()
