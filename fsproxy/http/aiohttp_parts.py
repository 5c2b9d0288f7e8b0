"""Every part of aiohttp that is not public, or that may change between its releases. No other module uses one.

The data plane takes four things from aiohttp: its parser of requests (``HttpRequestParser``, which is llhttp in C),
the queue in which a body waits (``StreamReader``), the protocol that both expect above them (``BaseProtocol``), and
what masks a WebSocket's frames.
It does not use aiohttp's server. That one starts a task for each connection and another for each request, has no
timeout for a head, and adds headers that a proxy must not invent.

To try a new release of aiohttp, run tests/http/test_aiohttp_seams.py. It has one test for each seam below.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp._websocket.helpers import websocket_mask
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

__all__ = (
    "EMPTY_PAYLOAD",
    "HAS_C_PARSER",
    "MAX_PIPELINED",
    "READ_BUFFER",
    "BrokenBodyError",
    "HttpProcessingError",
    "LineTooLong",
    "ParsingProtocol",
    "RawRequestMessage",
    "StreamReader",
    "masked",
)

HAS_C_PARSER = HttpRequestParser.__module__ == "aiohttp._http_parser"
"""False where aiohttp falls back to its parser in Python, which is neither as strict nor as fast."""
READ_BUFFER = 128 * 1024
"""Bytes of a body that wait for its reader before the client is not read any more; the most is twice that."""
MAX_PIPELINED = 32
"""Requests that the parser reads ahead, at the most."""
SHORTEST_LINE = 4
"""Bytes of the shortest header line. The size of a head is limited elsewhere, so the parser's limit of the number of
lines is set where it never applies."""


def masked(payload: bytes, key: bytes) -> bytes:
    """Return a WebSocket's payload masked or unmasked: 64 KB take 7 us in C, and 250 us as one large number."""
    data = bytearray(payload)
    websocket_mask(key, data)
    return bytes(data)


class BrokenBodyError(Exception):
    """The framing of a body is broken, so nothing after this point can be read."""


class ParsingProtocol(BaseProtocol):
    """A client's connection, as far as aiohttp's parser and its bodies know it.

    Two things can stop the reading of the transport, each independently of the other: a ``StreamReader`` that holds
    enough (it calls ``pause_reading`` and ``resume_reading``), and ourselves (``hold_reading``), when requests or
    the bytes behind an upgrade pile up. The transport is read while neither does.

    A ``StreamReader`` that has room again also makes the parser go on: the parser keeps bytes that it could not
    hand over, and hands them over in ``data_received(b"")``.
    """

    __slots__ = ("_body_is_full", "_longest_line", "_request_parser", "loop", "reading_held", "upgraded")

    def __init__(self, loop: asyncio.AbstractEventLoop, longest_line: int) -> None:
        """``longest_line``: bytes of the longest header line or target that the parser accepts."""
        super().__init__(loop)
        self.loop = loop
        self._longest_line = longest_line
        self._request_parser: HttpRequestParser | None = None
        self._body_is_full = False
        self.reading_held = False
        self.upgraded = False
        """The parser has seen a request to upgrade; it refuses what follows until ``stay_http``."""

    # -- our side

    def parse(self, data: bytes) -> tuple[Sequence[tuple[RawRequestMessage, StreamReader]], bool, bytes]:
        """Give bytes to the parser, which is made when it is first needed: most connections never do.

        Return the requests whose heads are now whole, whether the last of them asks for an upgrade, and the bytes
        that came behind such a request. The parser stops at ``MAX_PIPELINED`` requests; it continues in a later
        call, after ``count_answered``. Raise HttpProcessingError (LineTooLong for a line over the limit).
        """
        return self._parser_in_use().feed_data(data)

    def count_answered(self) -> None:
        """Let the parser read one request more."""
        self._parser_in_use().message_consumed()

    def stay_http(self) -> None:
        """Parse what follows a request to upgrade after all, because that was declined."""
        self._parser_in_use().set_upgraded(False)
        self.upgraded = False

    def forget_parser(self) -> None:
        """Break the reference cycle between the parser and this connection."""
        self._request_parser = None

    def new_body(self) -> StreamReader:
        """Return an empty body that we fill ourselves, as the parser fills its own."""
        return StreamReader(self, READ_BUFFER, loop=self.loop)

    def hold_reading(self) -> None:
        """Read nothing more from the client until ``release_reading``."""
        self.reading_held = True
        self.pause_transport()

    def release_reading(self) -> None:
        """Read from the client again, unless a body is full."""
        self.reading_held = False
        if not self._body_is_full:
            self.resume_transport()

    def pause_transport(self) -> None:
        """Stop reading, without noting who wants that."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_transport(self) -> None:
        """Read, whatever had paused it."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    # -- the side of StreamReader

    def pause_reading(self) -> None:
        """aiohttp: a body holds enough."""
        self._body_is_full = True
        # Without a parser the body is one that we fill. Behind an upgrade the parser is given nothing.
        if self._request_parser is not None and not self.upgraded:
            self._request_parser.pause_reading()
        self.pause_transport()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's signature
        """aiohttp: a body has room, or has ended. This is called after every body, mostly with nothing to resume."""
        if not self._body_is_full:
            return
        self._body_is_full = False
        if resume_parser and self._request_parser is not None and not self.upgraded:
            self.data_received(b"")
        # The bytes that the parser had kept may have filled the body again.
        if not self._body_is_full and not self.reading_held:
            self.resume_transport()

    # -- within

    def _parser_in_use(self) -> HttpRequestParser:
        if self._request_parser is None:
            self._request_parser = HttpRequestParser(
                self,
                self.loop,
                READ_BUFFER,
                max_line_size=self._longest_line,
                max_field_size=self._longest_line,
                max_headers=self._longest_line // SHORTEST_LINE,
                payload_exception=BrokenBodyError,
                # A body stays compressed as it came. Only a handler decides to look inside.
                auto_decompress=False,
                max_msg_queue_size=MAX_PIPELINED,
            )
        return self._request_parser
