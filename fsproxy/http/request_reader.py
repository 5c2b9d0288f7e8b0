"""From a client's bytes to requests: a queue of heads, each with its body as it comes; or the bytes of a tunnel.

There are two lanes. The fast one takes plain requests only (core/wire/plain_head.py has the grammar): those whose head
came whole in one read, on a connection that has carried nothing else so far. Everything else takes the general lane,
aiohttp's parser. The lanes differ only in how bytes become a request; the code after that is the same.

What the fast lane declines it has not consumed: the general parser gets the same bytes from the first one on, and no
byte is read by both. A connection that has used the general lane once stays with it, because from then on only that
parser knows where the next head begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import inf

from fsproxy.core.wire.plain_head import read_request
from fsproxy.core.wire.proxy_header import HeaderFault, begins_like_header
from fsproxy.http.aiohttp_parts import (
    EMPTY_PAYLOAD,
    MAX_PIPELINED,
    READ_BUFFER,
    BrokenBodyError,
    HttpProcessingError,
    LineTooLong,
    StreamReader,
)
from fsproxy.http.client_request import ClientRequest
from fsproxy.http.client_transport import ClientTransport
from fsproxy.http.head_limit import HeadLimit, Queued
from fsproxy.http.payload import Payload, WholeBody
from fsproxy.http.server import DataServer


def _refusal(status: str, title: str) -> bytes:
    body = b'{"type":"about:blank","title":"%b","status":%b}' % (title.encode(), status[:3].encode())
    return (
        b"HTTP/1.1 %b\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
        % (status.encode(), len(body), body)
    )


BAD_REQUEST = _refusal("400 Bad Request", "Malformed HTTP request")
HEAD_TOO_LARGE = _refusal("431 Request Header Fields Too Large", "The request's head is larger than server.max_header")
"""For a head of which not even the request line can be read; any other is answered as its route asks."""


class RequestReader(ClientTransport):
    """Reads one client's requests. While ``busy``, one of them is being answered and later ones wait in the queue."""

    __slots__ = ("_body", "_current", "_head", "_missing", "_queue", "busy", "plain", "server")

    def __init__(self, server: DataServer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop, server.max_header, server.shortest_wait)
        self.server = server
        self.busy = False
        self.plain = server.has_fast_lane
        """All requests so far were plain: the general parser was given nothing, and holds no byte."""
        self._body: StreamReader | None = None
        """A plain request's body of which ``_missing`` bytes are still to come."""
        self._missing = 0
        self._queue: list[Queued] = []  # short; a deque takes 600 bytes
        self._current: ClientRequest | None = None
        self._head = HeadLimit(server.max_header)

    def serve(self) -> None:
        """Answer what is in the queue."""
        raise NotImplementedError

    def begin(self, request: ClientRequest) -> bool:
        """Begin to answer a request; True when that has ended and the next request may be served."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of a head, of a body, or of a tunnel."""
        if self._tunnel is not None:
            self._tunnel(data)
        elif self._closing:
            return
        elif self._missing:
            self._continue_body(data)
        elif self.plain and data:
            # What comes while a request is answered is pipelined, as is more than a body. Both take the general lane.
            head = read_request(data, self.server.max_header) if not self.busy else None
            if head is not None:
                length, here = head.length or 0, len(data) - head.end
                if here <= length:
                    body = data[head.end :]
                    payload = WholeBody(body) if here == length else self._begin_body(body, length)
                    make = self.server.new_request
                    self.begin(make(self, head.method, head.target, head.headers, head.length, payload))
                    return
            self.plain = False
            self._take_general(data)
        elif self.upgraded:
            self._keep_tail(data)
        elif not self.plain:
            self._take_general(data)

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

    def expire(self) -> None:
        """Refuse a head that took too long, or close a connection that was idle too long. No handler is running."""
        if self._head.start:
            self.due = inf
            self._refuse_head()
        else:
            super().expire()

    def _take_general(self, data: bytes) -> None:
        """Take bytes by the general lane."""
        too_large = self._head.start
        if too_large:
            self._wait_for_rest(data)
            return
        try:
            messages: Sequence[Queued]
            messages, upgraded, tail = self.parse(self._head.masked(data, busy=self.busy))
        except HttpProcessingError as error:
            self._break_bodies(BrokenBodyError())
            if self._head.start:
                self._wait_for_rest(b"")
                return
            if not self.server.expects_headers and begins_like_header(self._head.seen):
                self.server.on_header_fault(HeaderFault.UNEXPECTED, self.peer)
            refusal = HEAD_TOO_LARGE if isinstance(error, LineTooLong) else BAD_REQUEST
            messages, upgraded, tail = ((refusal, EMPTY_PAYLOAD),), False, b""
        if upgraded:
            self.upgraded, self._tail = True, tail
        if messages:
            self._enqueue(self._head.complete(messages, len(data)))
        elif not self.busy and data:
            self._wait_for_head(len(data))

    def _enqueue(self, messages: Sequence[Queued]) -> None:
        self._queue.extend(messages)
        if len(self._queue) >= MAX_PIPELINED and not self.reading_held:
            self.hold_reading()
        if not self.busy:
            self.serve()

    def _wait_for_head(self, size: int) -> None:
        if not self._head.begun:
            self.due = self.loop.time() + self.server.header_timeout
        if self._head.add_part(size):
            self._wait_for_rest(b"")

    def _wait_for_rest(self, data: bytes) -> None:
        """Answer a head that is too large once the rest of it came, because the rest may hold its origin."""
        if self._head.add_excess(data) or not self._head.start:
            self._refuse_head()
        else:
            self.due = min(self.due, self.loop.time() + self.server.header_timeout)

    def _refuse_head(self) -> None:
        """Answer 431 to a head that is too large, as its route asks if that is known."""
        request = self.server.new_request.cut(self, self._head.take_start())
        if request is None:
            self._refuse(HEAD_TOO_LARGE)
        else:
            self.begin(request)

    def _break_bodies(self, error: BaseException) -> None:
        """End every body that is not whole by now, because the rest will never come and its reader would wait."""
        payloads: list[Payload] = [payload for _, payload in self._queue]
        if self._current is not None:
            payloads.append(self._current.payload)
        for payload in payloads:
            if not payload.is_eof():
                payload.set_exception(error)
                # A reader that the end of a chunk has woken in this same read waits again without looking.
                self.loop.call_soon(payload.set_exception, error)

    def _refuse(self, answer: bytes) -> None:
        self.server.on_malformed()
        self.write(answer)
        self.close()

    def _keep_tail(self, data: bytes) -> None:
        """Keep what follows a request to upgrade until that is answered."""
        self._tail += data
        if len(self._tail) >= READ_BUFFER and not self.reading_held:
            self.hold_reading()

    def _take_tail(self) -> bytes:
        """Return what followed a request to upgrade that was declined: it is HTTP after all."""
        self.stay_http()
        tail, self._tail = self._tail, b""
        return tail
