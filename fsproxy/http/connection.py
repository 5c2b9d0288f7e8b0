"""One client's connection: its requests one after another, and what becomes of them when the client leaves.

``web.Server`` makes these in place of its own ``RequestHandler``. That one starts a task a connection and
another a request, has no timeout for a head, and builds headers that a proxy must not invent. What is
used of aiohttp here (``BaseProtocol``, ``HttpRequestParser``, ``StreamReader``) is not all public: hence
aiohttp < 3.15, and tests/http/test_aiohttp_seams.py.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

from aiohttp.streams import StreamReader

from fsproxy.core.failures import Failure
from fsproxy.core.wire.plain_head import PlainHead
from fsproxy.http.client_request import BAD_REQUEST, HEAD_TOO_LARGE, ClientRequest, WholeBody, drain
from fsproxy.http.fast_lane import MAX_PIPELINED
from fsproxy.http.inline_task import InlineTask
from fsproxy.http.request_reader import RequestReader

if TYPE_CHECKING:
    from fsproxy.http.server import DataServer

OLDEST = (1, 0)
"""The parser also takes HTTP/0.9, which has no headers and no status."""
HARD_LIMIT = 1.1
"""Connections over ``server.max_connections`` are answered 503 (502 where that ends a recording); over this
multiple of it they are dropped."""
LINGER = 2.0
"""Seconds for which the rest of a body that nobody wants is read, so that the client sees our answer."""
FIRST_REQUEST = 1.0
"""Seconds for which a new connection counts as one whose request is on its way: closing it then would be a reset."""


class ClientConnection(RequestReader):
    """See the module. A client that leaves ends only what did not come whole (rules.md 4)."""

    __slots__ = ("_awaited_until", "_input_ended", "_lingering")

    def __init__(self, server: DataServer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop)
        self._lingering: asyncio.Task[bool] | None = None
        self._awaited_until = 0.0
        self._input_ended = False
        """The client has left, or sends nothing more: one that has only ended its side still reads its answers."""

    @property
    def is_idle(self) -> bool:
        """Nothing is under way: not half a head, not the first request of a client that has just connected."""
        return not self.busy and not self._head.begun and self._loop.time() >= self._awaited_until

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: a client connected."""
        super().connection_made(transport)
        self.server.opened(self)
        self._idle()
        self._awaited_until = self._loop.time() + FIRST_REQUEST

    def eof_received(self) -> bool:
        """asyncio: the client sends nothing more. True keeps the connection open for an answer.

        That makes no sense in TLS, where the end of one side is the end of both.
        """
        if self._tunnel is not None:
            return False
        self._end_input(None)
        return self._current is not None and self._current.outlives_client and not self.secure

    def connection_lost(self, exc: BaseException | None) -> None:
        """asyncio: the client is gone."""
        super().connection_lost(exc)
        if self._closing:
            self._queue.clear()
        self._end_input(exc)
        self.server.closed(self, unattended=self.busy)
        if not self.busy:
            self._forget()

    # -- answering requests

    def _idle(self) -> None:
        self.due = self._loop.time() + self.server.keepalive

    def serve(self) -> None:
        """Answer what is queued, in order, until one has to be waited for."""
        while self._queue and not self._closing:
            message, payload = self._queue.pop(0)
            if isinstance(message, bytes):
                self._refuse(message)
            elif message.version < OLDEST:
                self._refuse(BAD_REQUEST)
            else:
                self.general_parser().message_consumed()
                request = ClientRequest.parsed(self, message, payload)
                if self._head.is_too_large(message):
                    request.refusal, request.close = Failure.HEADER_TOO_LARGE, True
                if not self.begin(request):
                    return
        if self._input_ended:
            self._finish()

    def take_plain(self, head: PlainHead, payload: StreamReader | WholeBody) -> None:
        """See ``TwoLanes``."""
        self.begin(ClientRequest(self, head.method, head.target, head.headers, head.length, payload))

    def refuse_head(self) -> None:
        """See ``RequestReader``. The answer is one of the head's own route, where that can be told."""
        request = ClientRequest.too_large(self, self._head.take_start())
        if request is None:
            self._refuse(HEAD_TOO_LARGE)
        else:
            self.begin(request)

    def begin(self, request: ClientRequest) -> bool:
        """Begin a handler right here; True when it ended at once and the next request may be served."""
        if self._input_ended:
            request.client_left = True
            if not request.outlives_client:
                # It is not answered, so no later answer may be taken for its own.
                self._hang_up()
                return True
        self._awaited_until = 0.0
        self.busy = True
        self.due = inf
        self._current = request
        handling = InlineTask(self.server.handler(request), self._loop, self._ended_later)
        return handling.start() and self._handled(handling)

    def _ended_later(self, handling: InlineTask) -> None:
        if self._handled(handling):
            self.serve()

    def _handled(self, handling: InlineTask) -> bool:
        """After a handler; False when nothing more may be served on this connection now."""
        error = handling.error
        if error is not None:  # handlers answer their own faults: this one is ours
            self.server.on_crash(None if isinstance(error, asyncio.CancelledError) else error)
            self.abort()
        current, self._current = self._current, None
        if self._input_ended:
            return self._next_unattended(last=current is None or current.close)
        if self._closing:
            self.busy = False
            return False
        if current is not None and not current.payload.is_eof() and current.payload.exception() is None:
            self._linger(current.payload, keep=handling.result)
            return False
        return self._next(keep=handling.result)

    def _next(self, *, keep: bool) -> bool:
        self.busy = False
        if not keep:
            self.close()
            return False
        self._idle()
        if self._upgraded and self._tunnel is None:
            self.data_received(self._take_tail())
            return False
        if self._buffer_paused and len(self._queue) <= MAX_PIPELINED // 2:
            self._resume_reading_for_buffer()
            self._loop.call_soon(self.data_received, b"")
        return True

    def _linger(self, payload: StreamReader | WholeBody, *, keep: bool) -> None:
        """Read what is left of a body, for a while, before the connection is used again or closed."""

        def drained(task: asyncio.Task[bool]) -> None:
            self._lingering = None
            if self._input_ended:
                self._finish()
            elif self._closing:
                self.busy = False
            elif self._next(keep=keep and not task.cancelled() and task.result()):
                self.serve()

        self._lingering = self._loop.create_task(drain(payload, LINGER))
        self._lingering.add_done_callback(drained)

    # -- a client that leaves

    def _end_input(self, exc: BaseException | None) -> None:
        if not self._input_ended:
            self._input_ended = True
            self._break_bodies(exc or ConnectionResetError("client gone"))
        current = self._current
        if current is not None:
            current.client_left = True
            if current.on_gone is not None:
                current.on_gone()

    def _next_unattended(self, *, last: bool) -> bool:
        """Go on with what else came whole. ``last``: the client said that it sends nothing behind this request."""
        if last or self._closing:
            self._queue.clear()
        elif self._upgraded and self._tunnel is None:
            self.data_received(self._take_tail())
        elif self._buffer_paused and not self._queue:
            self._resume_reading_for_buffer()
            self.data_received(b"")
        self.busy = False
        if self._queue:
            return True
        self._finish()
        return False

    def _hang_up(self) -> None:
        """Write nothing more to a client that may still read, and go on with its other requests."""
        if self.transport is not None:
            self.transport.close()

    def _finish(self) -> None:
        """All that came whole is done, and nothing more will come."""
        self.busy = False
        self.close()
        self.server.finished(self)
        if self.transport is None:
            self._forget()

    def _forget(self) -> None:
        """Break cycles: a reload in the life of this connection has kept them from collection for good."""
        self._queue.clear()
        self._parser = None
