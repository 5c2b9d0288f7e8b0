"""One client's connection, on aiohttp's low-level server: no router, no middlewares, no access log.

aiohttp parses the request and keeps the connection; what is answered is written as prepared bytes. This
leans on parts of ``web_protocol`` that are not public (hence aiohttp < 3.15, and the seams' own test):
``_messages``, ``_paused``, ``_message_tail``, and what ``start`` asks of a request and of an answer.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from fsproxy.shell.sweeper import Sweeper, Timed

if TYPE_CHECKING:
    from fsproxy.config.schema import ServerConfig

MAX_HEADERS = 256
HARD_LIMIT = 1.1
"""Connections over ``server.max_connections`` are answered 503 (502 where that ends a recording); over this
multiple of it they are dropped."""
LINGER = 2.0
"""Seconds for which the rest of a body that nobody wants is read, so that the client sees our answer."""

FLUSH_PERIOD = 0.02
"""Seconds between two looks at whether all clients have read their answers, when stopping."""
NO_LINGER = struct.pack("ii", 1, 0)


def _refusal(status: str, title: str) -> bytes:
    body = b'{"type":"about:blank","title":"%s","status":%s}' % (title.encode(), status[:3].encode())
    return (
        b"HTTP/1.1 %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
        % (status.encode(), len(body), body)
    )


MALFORMED = _refusal("400 Bad Request", "Malformed HTTP request")
HEAD_TOO_LARGE = _refusal("431 Request Header Fields Too Large", "The request's head is larger than server.max_header")


class Answered:
    """What a handler returns to aiohttp once the answer is written: only whether the connection stays."""

    __slots__ = ("keep_alive",)

    def __init__(self, *, keep_alive: bool) -> None:
        self.keep_alive = keep_alive

    async def prepare(self, request: object) -> None:
        """Nothing is left to write."""

    async def write_eof(self) -> None:
        """Nothing is left to write."""


KEEP = Answered(keep_alive=True)
CLOSE = Answered(keep_alive=False)


class Incoming:
    """One request: its head, and its body as it arrives. As little as aiohttp's ``start`` can live with."""

    __slots__ = ("_task", "_writer", "arrived", "connection", "message", "on_gone", "payload")

    def __init__(self, message: RawRequestMessage, payload: StreamReader, connection: ClientConnection) -> None:
        self.message = message
        self.payload = payload
        self.connection = connection
        self.on_gone: Callable[[], None] | None = None
        """Called when the client goes away before the answer is complete."""
        self._task: asyncio.Task[None] | None = None

    def _finish(self) -> None:
        """aiohttp: the handler is done."""

    def _cancel(self, exc: BaseException) -> None:
        """aiohttp: the client is gone."""
        self.payload.set_exception(exc)
        if self.on_gone is not None:
            self.on_gone()


class ClientConnection(web.RequestHandler, Timed):
    """aiohttp's request handler, with the timeouts it lacks and back-pressure that an exchange can follow."""

    __slots__ = ("_head_bytes", "_measured", "busy", "due", "on_writable", "server")

    def __init__(self, server: DataServer, **options: Any) -> None:
        web.RequestHandler.__init__(self, cast("web.Server", server), **options)
        self.server = server
        self.due = inf
        self.busy = False
        self._head_bytes = 0
        self._measured = False
        self.on_writable: Callable[[], None] | None = None
        """Called when the client reads again after ``writing_paused``."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it; one too many is answered, but with nothing behind it."""
        super().connection_made(transport)
        self.server.sweeper.add(self)
        if len(self.server) > self.server.max_connections * HARD_LIMIT:
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self.server.sweeper.discard(self)
        super().connection_lost(exc)
        if self.on_writable is not None:
            self.on_writable()

    def data_received(self, data: bytes) -> None:
        """Start the head's clock with its first byte, and bound its size as a whole (the parser bounds a line's)."""
        super().data_received(data)
        if self._messages:
            self._measured = self._measured or self._head_bytes + len(data) > self.server.max_header
            self._break_bodies()
            return
        if self.busy:
            return
        if self.due == inf:
            self.due = self._loop.time() + self.server.header_timeout
            self._head_bytes = 0
        self._head_bytes += len(data)
        if self._head_bytes > self.server.max_header:
            self.write(HEAD_TOO_LARGE)
            self.force_close()

    def head_is_too_large(self, message: RawRequestMessage) -> bool:
        """Whether a head that came whole is over the limit; added up only where so much was ever read at once."""
        if not self._measured:
            return False
        size = sum(len(name) + len(value) + 4 for name, value in message.raw_headers)
        return size + len(message.path) > self.server.max_header

    def _break_bodies(self) -> None:
        """A message behind a body that has no end is a parser's error: whoever reads that body would wait in vain."""
        *before, _ = (payload for _, payload in self._messages)
        request = cast("Incoming | None", self._current_request)
        if request is not None:
            before.append(request.payload)
        for payload in before:
            if not payload.is_eof():
                payload.set_exception(RequestPayloadError())

    def expire(self) -> None:
        """A head that takes too long: nobody is waiting for an answer to half a question."""
        self.due = inf
        if not self.busy:
            self.force_close()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self.on_writable is not None:
            self.on_writable()

    def write(self, data: bytes) -> bool:
        """Write to the client; False when it is gone."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        transport.write(data)
        return True

    def abort(self) -> None:
        """Break the connection with a reset, so that a cut answer never looks whole, not even one without a length."""
        if self.transport is not None:
            sock = self.transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            self.transport.abort()

    def handle_error(  # type: ignore[override]  # a raw answer instead of a web.Response
        self,
        request: object,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> Answered:
        """Answer a head that the parser refused; if a handler raised (none does), cut the connection."""
        if status == 400:
            self.server.on_malformed()
            self.write(MALFORMED)
        else:
            self.server.on_crash(exc)
            self.abort()
        return CLOSE


Handler = Callable[[Incoming], Awaitable[Answered]]


class DataServer(web.Server):
    """Makes a ClientConnection for each accepted socket, and knows them all."""

    def __init__(
        self,
        handler: Handler,
        config: ServerConfig,
        sweeper: Sweeper,
        *,
        on_malformed: Callable[[], None],
        on_crash: Callable[[BaseException | None], None],
    ) -> None:
        super().__init__(
            cast("Any", self._serve),
            request_factory=cast("Any", self._incoming),
            # The body stays compressed as it came; nobody but the caller decides to look inside.
            auto_decompress=False,
            access_log=None,
            keepalive_timeout=config.keepalive,
            lingering_time=0.0,  # see _serve
            max_line_size=config.max_header,
            max_field_size=config.max_header,
            max_headers=MAX_HEADERS,
        )
        self._handler = handler
        self.sweeper = sweeper
        self.header_timeout = config.header_timeout
        self.max_header = config.max_header
        self.max_connections = config.max_connections
        self.on_malformed = on_malformed
        self.on_crash = on_crash

    def __call__(self) -> ClientConnection:
        """A new connection (asyncio's protocol factory)."""
        return ClientConnection(self, loop=self._loop, **self._kwargs)

    def __len__(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def close_idle(self) -> None:
        """Close the connections on which nothing is under way, each once what was written to it is sent."""
        for connection in cast("list[ClientConnection]", self.connections):
            if not connection.busy and connection.due == inf and not connection._messages:  # noqa: SLF001 - our own base
                connection.force_close()

    async def flush(self, seconds: float) -> None:
        """Wait until every client has read its answer to the end, for so long at the most."""
        transports = [c.transport for c in cast("list[ClientConnection]", self.connections) if c.transport is not None]
        self.close_idle()
        try:
            async with asyncio.timeout(seconds):
                while any(transport.get_write_buffer_size() for transport in transports):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(FLUSH_PERIOD)
        except TimeoutError:
            pass

    @property
    def overloaded(self) -> bool:
        """More connections than ``server.max_connections``."""
        return len(self._connections) > self.max_connections

    async def _serve(self, request: Incoming) -> Answered:
        """Handle; then read for a while what is left of a body that nobody wanted, so that the client sees our answer.

        aiohttp's own lingering takes a body that was given up for a crash, and the connection for idle.
        """
        if request.connection.head_is_too_large(request.message):
            self.on_malformed()
            request.connection.write(HEAD_TOO_LARGE)
            return CLOSE
        answered = await self._handler(request)
        payload = request.payload
        if not payload.is_eof() and payload.exception() is None:
            request.connection.busy = True
            try:
                async with asyncio.timeout(LINGER):
                    while await payload.readany():
                        pass
            except Exception:  # noqa: BLE001, S110 - however the body ends, it was answered
                pass
            request.connection.busy = False
        return answered

    @staticmethod
    def _incoming(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: ClientConnection,
        _writer: object,
        _task: object,
    ) -> Incoming:
        protocol.busy = True
        protocol.due = inf
        return Incoming(message, payload, protocol)
