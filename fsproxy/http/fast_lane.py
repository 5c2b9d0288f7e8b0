"""Two lanes for what comes in, and the rule which lane takes what.

The fast lane takes plain messages only (core/wire/plain_head.py has the grammar): a request whose head came whole in
one read on a connection that has carried nothing else so far, or an answer that came whole in one read. Everything
else takes the general lane: aiohttp's parser for requests, llhttp for answers. The lanes differ only in how bytes
become a request or an answer; the code after that is the same.

What the fast lane declines it has not consumed: the general parser gets the same bytes from the first one on, and no
byte is read by both. A client's connection that has used the general lane once stays with it, because from then on
only that parser knows where the next head begins.
"""

from __future__ import annotations

import asyncio
import os

from fsproxy.core.wire.plain_head import KnownHeads, PlainHead
from fsproxy.http.aiohttp_parts import StreamReader
from fsproxy.http.client_transport import ClientTransport
from fsproxy.http.payload import Payload, WholeBody

SWITCH = "FSPROXY_FAST_LANE"
"""``off`` in the environment: everything takes the general lane. For tests, which run through both."""


def plain_limit(limit: int) -> int:
    """Return how many bytes a plain head may have where any head may have ``limit``; 0 means that none is plain."""
    return 0 if os.environ.get(SWITCH) == "off" else limit


class TwoLanes(ClientTransport):
    """A client's connection whose requests take the fast lane as long as all of them are plain."""

    __slots__ = ("_body", "_heads", "_missing", "_plain_limit", "plain")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, heads: KnownHeads, plain: int, max_header: int, shortest: float
    ) -> None:
        """``plain``: bytes of the largest plain head."""
        super().__init__(loop, max_header, shortest)
        self._heads = heads
        self._plain_limit = plain
        self.plain = True
        """All requests so far were plain: the general parser was given nothing, and holds no byte."""
        self._body: StreamReader | None = None
        """A plain request's body of which bytes are still to come."""
        self._missing = 0
        """How many."""

    def take_plain(self, head: PlainHead, payload: Payload) -> None:
        """Serve a plain request."""
        raise NotImplementedError

    def took(self, data: bytes, *, busy: bool) -> bool:
        """Take the bytes of one read on a connection that is ``plain``.

        Return False if they are for the general parser, as is everything that follows on this connection. ``busy``: a
        request is being answered, so what comes after its body is pipelined.
        """
        if self._missing:
            self._continue_body(data)
            return True
        if not data:
            return True
        head = self._heads.read(data, self._plain_limit) if not busy else None
        if head is not None:
            length, end = head.length or 0, head.end
            here = len(data) - end
            # More than the body is a pipelined request, which is left to the general parser with its predecessor.
            if here <= length:
                self.take_plain(head, WholeBody(data[end:]) if here == length else self._begin_body(data[end:], length))
                return True
        self.plain = False
        return False

    def _begin_body(self, data: bytes, length: int) -> StreamReader:
        payload = self._body = self.new_body()
        self._missing = length - len(data)
        payload.feed_data(data)
        return payload

    def _continue_body(self, data: bytes) -> None:
        payload, part = self._body, data[: self._missing]
        self._missing -= len(part)
        if payload is not None:
            payload.feed_data(part)
            if not self._missing:
                self._body = None
                payload.feed_eof()
        if len(part) < len(data):
            self.data_received(data[len(part) :])
