"""From a client's bytes to requests: a queue of heads, each with its body as it comes; or the bytes of a tunnel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestPayloadError

from fsproxy.http.client_request import BAD_REQUEST, HEAD_TOO_LARGE, ClientRequest, WholeBody
from fsproxy.http.client_transport import ClientTransport
from fsproxy.http.fast_lane import MAX_PIPELINED, READ_BUFFER
from fsproxy.http.head_limit import HeadBytes

if TYPE_CHECKING:
    from fsproxy.http.head_limit import Queued
    from fsproxy.http.server import DataServer


class RequestReader(ClientTransport):
    """See the module. ``busy``: a request is being answered, so that what comes behind it waits in the queue."""

    __slots__ = ("_current", "_head", "_queue", "_tail", "_tunnel", "busy")

    def __init__(self, server: DataServer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop)
        self.busy = False
        self._queue: list[Queued] = []  # short; a deque takes 600 bytes
        self._current: ClientRequest | None = None
        self._head = HeadBytes(server.max_header)
        self._tunnel: Callable[[bytes], None] | None = None
        self._tail = b""
        """What came behind a request to upgrade."""

    def serve(self) -> None:
        """Answer what is in the queue."""
        raise NotImplementedError

    def refuse_head(self) -> None:
        """Answer 431 to what came of a head that is too large."""
        raise NotImplementedError

    def tunnel(self, on_data: Callable[[bytes], None]) -> None:
        """After a 101: everything that comes goes to ``on_data`` (``b""``: the client is gone)."""
        self._tunnel = on_data
        tail, self._tail = self._tail, b""
        if tail:
            on_data(tail)
        if self._buffer_paused:
            self._resume_reading_for_buffer()

    def connection_lost(self, exc: BaseException | None) -> None:
        """asyncio: the client is gone."""
        super().connection_lost(exc)
        if self._tunnel is not None:
            self._tunnel(b"")
            self._tunnel = None

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of a head, of a body, or of a tunnel."""
        if self._tunnel is not None:
            self._tunnel(data)
            return
        if self._closing:
            return
        if self.plain and self.took(data, busy=self.busy):
            return
        if self._upgraded:
            self._keep_tail(data)
            return
        self._parse(data)

    def expire(self) -> None:
        """Timed: a head that takes too long, or nothing at all; nobody waits for an answer."""
        if self._head.start:
            self.due = inf
            self.refuse_head()
        else:
            super().expire()

    def _parse(self, data: bytes) -> None:
        """Take bytes by the general lane."""
        too_large = self._head.start
        if too_large:
            self._wait_for_rest(data)
            return
        try:
            messages: Sequence[Queued]
            messages, upgraded, tail = self.general_parser().feed_data(self._head.shown(data, busy=self.busy))
        except HttpProcessingError as error:
            self._break_bodies(RequestPayloadError())
            if self._head.start:
                self._wait_for_rest(b"")
                return
            refusal = HEAD_TOO_LARGE if isinstance(error, LineTooLong) else BAD_REQUEST
            messages, upgraded, tail = ((refusal, EMPTY_PAYLOAD),), False, b""
        if upgraded:
            self._upgraded, self._tail = True, tail
        if messages:
            self._take(self._head.came_whole(messages, len(data)))
        elif not self.busy and data:
            self._wait_for_head(len(data))

    def _take(self, messages: Sequence[Queued]) -> None:
        self._queue.extend(messages)
        if len(self._queue) >= MAX_PIPELINED and not self._buffer_paused:
            self._pause_reading_for_buffer()
        if not self.busy:
            self.serve()

    def _wait_for_head(self, size: int) -> None:
        if not self._head.begun:
            self.due = self._loop.time() + self.server.header_timeout
        if self._head.came_in_part(size):
            self._wait_for_rest(b"")

    def _wait_for_rest(self, data: bytes) -> None:
        """A head is too large: answer it once the rest of it came, so that its route and origin can be told."""
        if self._head.came_in_excess(data) or not self._head.start:
            self.refuse_head()
        else:
            self.due = min(self.due, self._loop.time() + self.server.header_timeout)

    def _break_bodies(self, error: BaseException) -> None:
        """What is not whole by now never will be: whoever reads an unfinished body would wait in vain."""
        payloads: list[StreamReader | WholeBody] = [payload for _, payload in self._queue]
        if self._current is not None:
            payloads.append(self._current.payload)
        for payload in payloads:
            if not payload.is_eof():
                payload.set_exception(error)
                # A reader whom the end of a chunk has woken in this same read waits again without looking.
                self._loop.call_soon(payload.set_exception, error)

    def _refuse(self, answer: bytes) -> None:
        self.server.on_malformed()
        self.write(answer)
        self.close()

    def _keep_tail(self, data: bytes) -> None:
        """What follows an upgrade request waits until the upgrade is answered."""
        self._tail += data
        if len(self._tail) >= READ_BUFFER and not self._buffer_paused:
            self._pause_reading_for_buffer()

    def _take_tail(self) -> bytes:
        """The upgrade was declined: what followed it is HTTP after all."""
        self.general_parser().set_upgraded(False)
        self._upgraded = False
        tail, self._tail = self._tail, b""
        return tail
