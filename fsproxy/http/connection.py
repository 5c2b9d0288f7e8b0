"""One client's connection: its requests one after another, and what becomes of them when the client leaves."""

from __future__ import annotations

import asyncio
from math import inf

from fsproxy.http.aiohttp_parts import MAX_PIPELINED, StreamReader
from fsproxy.http.client_request import ClientRequest
from fsproxy.http.inline_task import InlineTask
from fsproxy.http.payload import Payload, drain
from fsproxy.http.request_reader import BAD_REQUEST, RequestReader
from fsproxy.http.server import DataServer

OLDEST = (1, 0)
"""The parser also accepts HTTP/0.9, which has no headers and no status."""
LINGER = 2.0
"""Seconds for which the rest of a body is read and dropped after the answer, so that the client sees the answer."""
FIRST_REQUEST = 1.0
"""Seconds for which a new connection counts as one whose request is on its way: closing it then would be a reset."""


class ClientConnection(RequestReader):
    """Answers one client's requests in order. A client that leaves ends only what did not come whole (rules.md 4)."""

    __slots__ = ("_awaited_until", "_input_ended", "_lingering")

    def __init__(self, server: DataServer) -> None:
        super().__init__(server, asyncio.get_running_loop())
        self._lingering: asyncio.Task[bool] | None = None
        self._awaited_until = 0.0
        self._input_ended = False
        """The client has left, or sends nothing more: one that has only ended its side still reads its answers."""
        server.accepted()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way: no request, no part of a head, no first request of a new client."""
        return not self.busy and not self._head.begun and self.loop.time() >= self._awaited_until

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: a client connected."""
        super().connection_made(transport)
        self.server.opened(self)
        self.due = self.loop.time() + self.server.keepalive
        self._awaited_until = self.loop.time() + FIRST_REQUEST

    def eof_received(self) -> bool:
        """asyncio: the client sends nothing more. Return True to keep the connection open for an answer.

        With TLS that makes no sense, as the end of one side is the end of both.
        """
        if self._tunnel is not None:
            return False
        self._end_input(None)
        current, transport = self._current, self.transport
        if current is None or transport is None or not current.outlives_client:
            return False
        return transport.get_extra_info("sslcontext") is None

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

    def serve(self) -> None:
        """Answer what is queued, in order, until one has to be waited for."""
        while self._queue and not self._closing:
            message, payload = self._queue.pop(0)
            if isinstance(message, bytes):
                self._refuse(message)
            elif message.version < OLDEST:
                self._refuse(BAD_REQUEST)
            else:
                self.count_answered()
                request = self.server.new_request.parsed(self, message, payload)
                if self._head.is_too_large(message):
                    request.refuse_head()
                if not self.begin(request):
                    return
        if self._input_ended:
            self._finish()

    def begin(self, request: ClientRequest) -> bool:
        """Start a handler in this turn of the event loop. Return True if it ended, so that the next one may start.

        A handler that has to wait goes on in a later turn; ``_ended_later`` then continues with the queue.
        """
        if self._input_ended:
            request.client_left = True
            if not request.outlives_client:
                # It gets no answer, so the client must not take the answer of a later request for this one's.
                self._hang_up()
                return True
        self._awaited_until = 0.0
        self.busy = True
        self.due = inf
        self._current = request
        handling = request.task = InlineTask(self.server.handler(request), self.loop, self._ended_later)
        return handling.step() and self._handled(handling)

    def _ended_later(self, handling: InlineTask) -> None:
        if self._handled(handling) and (self._queue or self._input_ended):
            self.serve()

    def _handled(self, handling: InlineTask) -> bool:
        """Clean up after a handler. Return False if nothing more may be served on this connection now."""
        error = handling.error
        if error is not None:  # handlers answer their own faults, so this one is a fault of ours
            self.server.on_crash(None if isinstance(error, asyncio.CancelledError) else error)
            self.abort()
        current, self._current = self._current, None
        if self._input_ended:
            return self._next_unattended(last=current is None or current.close)
        if self._closing:
            self.busy = False
            return False
        payload = current.payload if current is not None else None
        if isinstance(payload, StreamReader) and not payload.is_eof() and payload.exception() is None:
            self._linger(payload, keep=handling.result)
            return False
        return self._next(keep=handling.result)

    def _next(self, *, keep: bool) -> bool:
        self.busy = False
        if not keep:
            self.close()
            return False
        self.due = self.loop.time() + self.server.keepalive
        if self.upgraded and self._tunnel is None:
            self.data_received(self._take_tail())
            return False
        if self.reading_held and len(self._queue) <= MAX_PIPELINED // 2:
            self.release_reading()
            # The parser keeps the bytes behind its last request until it is called again.
            self.loop.call_soon(self.data_received, b"")
        return True

    def _linger(self, payload: Payload, *, keep: bool) -> None:
        """Read the rest of a body for up to ``LINGER`` seconds before the connection is used again or closed."""

        def drained(task: asyncio.Task[bool]) -> None:
            self._lingering = None
            if self._input_ended:
                self._finish()
            elif self._closing:
                self.busy = False
            elif self._next(keep=keep and not task.cancelled() and task.result()):
                self.serve()

        self._lingering = self.loop.create_task(drain(payload, LINGER))
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
        """Continue with other requests that came whole. ``last``: the client announced that none follows this one."""
        if last or self._closing:
            self._queue.clear()
        elif self.upgraded and self._tunnel is None:
            self.data_received(self._take_tail())
        elif self.reading_held and not self._queue:
            self.release_reading()
            self.data_received(b"")
        self.busy = False
        if self._queue:
            return True
        self._finish()
        return False

    def _hang_up(self) -> None:
        """Write nothing more to a client that may still read, and continue with its other requests."""
        if self.transport is not None:
            self.transport.close()

    def _finish(self) -> None:
        """Close the connection: all requests that came whole are done, and nothing more will come."""
        self.busy = False
        self.close()
        self.server.finished(self)
        if self.transport is None:
            self._forget()

    def _forget(self) -> None:
        """Break reference cycles. If a reload came meanwhile, the garbage collector never looks at them again."""
        self._queue.clear()
        self.forget_parser()
