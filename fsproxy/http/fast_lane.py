"""Two lanes, and which takes what.

The fast lane takes plain messages (``core/plain_head`` has the grammar): a request whose head came whole on a
connection that has carried nothing else so far, an answer that came whole. Everything else takes the general
lane: aiohttp's parser for requests, llhttp for answers. The lanes differ in how bytes become a request or an
answer; all that follows is the same code. A connection that has used the general lane for a request stays with
it, as only that parser knows what it holds.
"""

from __future__ import annotations

import asyncio
import os

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from fsproxy.core.wire.plain_head import KnownHeads, PlainHead
from fsproxy.http.client_request import WholeBody

SWITCH = "FSPROXY_FAST_LANE"
"""``off`` in the environment: everything takes the general lane. For tests, which run through both."""
SHORTEST_LINE = 4
"""Bytes of a header line. A head's size is what is bounded; the parser's bound of their number is out of its way."""
READ_BUFFER = 128 * 1024
"""Bytes of a body that wait for its reader before the client is not read any more."""
MAX_PIPELINED = 32


def plain_limit(limit: int) -> int:
    """How large a plain head may be, in bytes, where any head may be ``limit``; 0: none is plain."""
    return 0 if os.environ.get(SWITCH) == "off" else limit


class TwoLanes(BaseProtocol):
    """How a client's bytes become requests: as they are while all are plain, else by the general parser."""

    __slots__ = ("_body", "_heads", "_left", "_max_header", "_plain_limit", "plain")

    _parser: HttpRequestParser | None

    def __init__(self, loop: asyncio.AbstractEventLoop, heads: KnownHeads, plain: int, max_header: int) -> None:
        """``plain``: the largest plain head; ``max_header``: the longest line that the general parser takes."""
        super().__init__(loop)
        self._heads = heads
        self._plain_limit = plain
        self._max_header = max_header
        self.plain = True
        """All requests so far were plain: the general parser was given nothing, and no byte is held anywhere."""
        self._left = 0
        """Bytes that a plain request's body still owes."""
        self._body: StreamReader | None = None

    def take_plain(self, head: PlainHead, payload: StreamReader | WholeBody) -> None:
        """Serve a plain request."""
        raise NotImplementedError

    def took(self, data: bytes, *, busy: bool) -> bool:
        """Take bytes of a connection that is ``plain``.

        False: they are for the general parser, and so is all that follows on this connection. ``busy``: a request is
        being answered, and what comes beyond its body is pipelined.
        """
        if self._left:
            self._continue_body(data)
            return True
        if not data:
            return True
        head = self._heads.read(data, self._plain_limit) if not busy else None
        if head is not None:
            length, end = head.length or 0, head.end
            here = len(data) - end
            if here <= length:
                self.take_plain(head, WholeBody(data[end:]) if here == length else self._begin_body(data[end:], length))
                return True
        self.plain = False
        return False

    def general_parser(self) -> HttpRequestParser:
        """Made when it is needed first: most connections never do."""
        if self._parser is None:
            self._parser = HttpRequestParser(
                self,
                self._loop,
                READ_BUFFER,
                max_line_size=self._max_header,
                max_field_size=self._max_header,
                max_headers=self._max_header // SHORTEST_LINE,
                payload_exception=RequestPayloadError,
                # The body stays compressed as it came; nobody but the caller decides to look inside.
                auto_decompress=False,
                max_msg_queue_size=MAX_PIPELINED,
            )
        return self._parser

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's signature
        """Read on, if reading was paused: a StreamReader asks after every body, and it costs each time."""
        if self._reading_paused:
            super().resume_reading(resume_parser and not self.plain)

    def pause_reading(self) -> None:
        """A StreamReader holds enough; only a parser that is in use has to be told."""
        if self.plain:
            self._reading_paused = True
            self._pause_transport_reading()
        else:
            self.general_parser()
            super().pause_reading()

    def _begin_body(self, data: bytes, length: int) -> StreamReader:
        payload = self._body = StreamReader(self, READ_BUFFER, loop=self._loop)
        self._left = length - len(data)
        payload.feed_data(data)
        return payload

    def _continue_body(self, data: bytes) -> None:
        payload, part = self._body, data[: self._left]
        self._left -= len(part)
        if payload is not None:
            payload.feed_data(part)
            if not self._left:
                self._body = None
                payload.feed_eof()
        if len(part) < len(data):
            self.data_received(data[len(part) :])
