"""One client's connection, one state machine (hence its length): aiohttp's parser and body streams, no task to spare.

``web.Server`` makes these in place of its own ``RequestHandler``. That one starts a task a connection and
another a request, has no timeout for a head, and builds headers that a proxy must not invent. What is
used of aiohttp here (``BaseProtocol``, ``HttpRequestParser``, ``StreamReader``) is not all public: hence
aiohttp < 3.15, and tests/shell/test_aiohttp_seams.py.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestPayloadError

from fsproxy.core.failures import Failure
from fsproxy.core.plain_head import PlainHead
from fsproxy.shell.fast_lane import MAX_PIPELINED, READ_BUFFER, TwoLanes
from fsproxy.shell.head_bytes import HeadBytes
from fsproxy.shell.incoming import BAD_REQUEST, HEAD_TOO_LARGE, Handling, Incoming, WholeBody, drain
from fsproxy.shell.sweeper import Timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsproxy.shell.head_bytes import Queued
    from fsproxy.shell.server import DataServer

OLDEST = (1, 0)
"""The parser also takes HTTP/0.9, which has no headers and no status."""
HARD_LIMIT = 1.1
"""Connections over ``server.max_connections`` are answered 503 (502 where that ends a recording); over this
multiple of it they are dropped."""
NO_LINGER = struct.pack("ii", 1, 0)
LINGER = 2.0
"""Seconds for which the rest of a body that nobody wants is read, so that the client sees our answer."""
FIRST_REQUEST = 1.0
"""Seconds for which a new connection counts as one whose request is on its way: closing it then would be a reset."""


class ClientConnection(TwoLanes, Timed):
    """See the module. ``due`` is the end of the head's time, or of the idle time between requests."""

    __slots__ = (
        "_awaited_until",
        "_closing",
        "_current",
        "_head",
        "_queue",
        "_tail",
        "_task",
        "_tunnel",
        "busy",
        "due",
        "on_writable",
        "peer",
        "secure",
        "server",
    )

    def __init__(self, server: DataServer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop, server.known_heads, server.plain_limit, server.max_header)
        self.server = server
        self.due = inf
        self.busy = False
        self.peer: str | None = None
        """The peer's address; None on a unix socket."""
        self.secure = False
        self.on_writable: Callable[[], None] | None = None
        """Called when the client reads again after ``writing_paused``."""
        self._queue: list[Queued] = []  # short; a deque takes 600 bytes
        self._current: Incoming | None = None
        self._task: asyncio.Task[bool] | None = None
        self._tunnel: Callable[[bytes], None] | None = None
        self._tail = b""
        self._head = HeadBytes(server.max_header)
        self._closing = False
        self._awaited_until = 0.0

    @property
    def is_idle(self) -> bool:
        """Nothing is under way: not half a head, not the first request of a client that has just connected."""
        return not self.busy and not self._head.begun and self._loop.time() >= self._awaited_until

    @property
    def shortest(self) -> float:
        """See ``Timed``."""
        return self.server.shortest_wait

    # -- the handler's side

    def write(self, data: bytes) -> bool:
        """Write to the client; False when it is gone."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        transport.write(data)
        return True

    def tunnel(self, on_data: Callable[[bytes], None]) -> None:
        """After a 101: everything that comes goes to ``on_data`` (``b""``: the client is gone)."""
        self._tunnel = on_data
        tail, self._tail = self._tail, b""
        if tail:
            on_data(tail)
        if self._buffer_paused:
            self._resume_reading_for_buffer()

    def close(self) -> None:
        """Close after what was already written."""
        self._closing = True
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Break the connection with a reset, so that a cut answer never looks whole, not even one without a length."""
        self._closing = True
        if self.transport is not None:
            sock = self.transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            self.transport.abort()

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: a client connected."""
        super().connection_made(transport)
        peername = transport.get_extra_info("peername")
        self.peer = peername[0] if isinstance(peername, tuple) else None
        self.secure = transport.get_extra_info("sslcontext") is not None
        self.server.opened(self)
        self._idle()
        self._awaited_until = self._loop.time() + FIRST_REQUEST

    def connection_lost(self, exc: BaseException | None) -> None:
        """asyncio: the client is gone."""
        self.server.closed(self)
        self._closing = True
        super().connection_lost(exc)
        current = self._current
        if current is not None:
            current.payload.set_exception(exc or ConnectionResetError("client gone"))
            if current.on_gone is not None:
                current.on_gone()
        if self._tunnel is not None:
            self._tunnel(b"")
            self._tunnel = None
        if self.on_writable is not None:
            self.on_writable()
        # Cycles: a reload in the life of this connection has kept them from collection for good.
        self._queue.clear()
        self._parser = None

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

    def resume_writing(self) -> None:
        """asyncio: the client reads again."""
        super().resume_writing()
        if self.on_writable is not None:
            self.on_writable()

    def expire(self) -> None:
        """Timed: a head that takes too long, or nothing at all; nobody waits for an answer."""
        self.due = inf
        if self._head.start:
            self._refuse_head()
        else:
            self.close()

    # -- within

    def _idle(self) -> None:
        self.due = self._loop.time() + self.server.keepalive

    def _parse(self, data: bytes) -> None:
        """Take bytes by the general lane."""
        if self._head.start:
            self._wait_for_rest(data)
            return
        try:
            messages: Sequence[Queued]
            messages, upgraded, tail = self.general_parser().feed_data(self._head.shown(data, busy=self.busy))
        except HttpProcessingError as error:
            self._break_bodies()
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
            self._serve()

    def _wait_for_head(self, size: int) -> None:
        if not self._head.begun:
            self.due = self._loop.time() + self.server.header_timeout
        if self._head.came_in_part(size):
            self._wait_for_rest(b"")

    def _wait_for_rest(self, data: bytes) -> None:
        """A head is too large: answer it once the rest of it came, so that its route and origin can be told."""
        if self._head.came_in_excess(data) or not self._head.start:
            self._refuse_head()
        else:
            self.due = min(self.due, self._loop.time() + self.server.header_timeout)

    def _break_bodies(self) -> None:
        """What comes after broken framing is not read: whoever reads an unfinished body would wait in vain."""
        payloads: list[StreamReader | WholeBody] = [payload for _, payload in self._queue]
        if self._current is not None:
            payloads.append(self._current.payload)
        for payload in payloads:
            if not payload.is_eof():
                payload.set_exception(RequestPayloadError())
                # A reader whom the end of a chunk has woken in this same read waits again without looking.
                self._loop.call_soon(payload.set_exception, RequestPayloadError())

    def _keep_tail(self, data: bytes) -> None:
        """What follows an upgrade request waits until the upgrade is answered."""
        self._tail += data
        if len(self._tail) >= READ_BUFFER and not self._buffer_paused:
            self._pause_reading_for_buffer()

    def _refuse(self, answer: bytes) -> None:
        self.server.on_malformed()
        self.write(answer)
        self.close()

    def _refuse_head(self) -> None:
        """Answer 431 on the head's own route, where one can be told."""
        request = Incoming.too_large(self, self._head.take_start())
        if request is None:
            self._refuse(HEAD_TOO_LARGE)
        else:
            self.begin(request)

    def _serve(self) -> None:
        """Answer what is queued, in order, until one has to be waited for."""
        while self._queue and not self._closing:
            message, payload = self._queue.pop(0)
            if isinstance(message, bytes):
                self._refuse(message)
                return
            if message.version < OLDEST:
                self._refuse(BAD_REQUEST)
                return
            self.general_parser().message_consumed()
            request = Incoming.parsed(self, message, payload)
            if self._head.is_too_large(message):
                request.refusal, request.close = Failure.HEADER_TOO_LARGE, True
            if not self.begin(request):
                return

    def take_plain(self, head: PlainHead, payload: StreamReader | WholeBody) -> None:
        """See ``TwoLanes``."""
        self.begin(Incoming(self, head.method, head.target, head.headers, head.length, payload))

    def begin(self, request: Incoming) -> bool:
        """Begin a handler right here; True when it ended at once and the next request may be served.

        A task costs a request more than judging it does: there is one only where a handler waits in ways that
        need it (``asyncio.timeout``).
        """
        self._awaited_until = 0.0
        self.busy = True
        self.due = inf
        self._current = request
        handling = self.server.handler(request)
        if self.server.needs_tasks:
            self._task = self._loop.create_task(handling)
            self._task.add_done_callback(self._task_done)
            return False
        return self._step(handling)

    def _step(self, handling: Handling) -> bool:
        """Run a handler until it waits for a future, or ends."""
        try:
            awaited = handling.send(None)
        except StopIteration as done:
            return self._answered(keep=done.value)
        except Exception as error:  # noqa: BLE001 - handlers answer their own faults: this one is ours
            self.server.on_crash(error)
            self.abort()
            return False
        if awaited is None:  # it only lets others go first
            self._loop.call_soon(self._go_on, handling)
            return False
        # As a task does: the future is being waited for by somebody who will ask for its result.
        awaited._asyncio_future_blocking = False  # noqa: SLF001 - the protocol between futures and who drives them
        awaited.add_done_callback(partial(self._go_on, handling))
        return False

    def _go_on(self, handling: Handling, _: asyncio.Future[Any] | None = None) -> None:
        if self._step(handling):
            self._serve()

    def _task_done(self, task: asyncio.Task[bool]) -> None:
        self._task = None
        if task.cancelled() or task.exception() is not None:
            self.server.on_crash(None if task.cancelled() else task.exception())
            self.abort()
        elif self._answered(keep=task.result()):
            self._serve()

    def _answered(self, *, keep: bool) -> bool:
        """After an answer; False when nothing more may be read on this connection now."""
        current, self._current = self._current, None
        if self._closing:
            return False
        if current is not None and not current.payload.is_eof() and current.payload.exception() is None:
            self._linger(current.payload, keep=keep)
            return False
        return self._next(keep=keep)

    def _next(self, *, keep: bool) -> bool:
        self.busy = False
        if not keep:
            self.close()
            return False
        if self._upgraded and self._tunnel is None:
            # The upgrade was declined: what followed it is HTTP after all.
            self.general_parser().set_upgraded(False)
            self._upgraded = False
            tail, self._tail = self._tail, b""
            self._idle()
            self.data_received(tail)
            return False
        self._idle()
        if self._buffer_paused and len(self._queue) <= MAX_PIPELINED // 2:
            self._resume_reading_for_buffer()
            self._loop.call_soon(self.data_received, b"")
        return True

    def _linger(self, payload: StreamReader | WholeBody, *, keep: bool) -> None:
        """Read what is left of a body, for a while, before the connection is used again or closed."""

        def drained(task: asyncio.Task[bool]) -> None:
            self._task = None
            if not self._closing and self._next(keep=keep and not task.cancelled() and task.result()):
                self._serve()

        self._task = self._loop.create_task(drain(payload, LINGER))
        self._task.add_done_callback(drained)
