"""A client's transport: its address and time limits; writing to it, closing it, breaking it, and tunnelling."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from math import inf

from fsproxy.core.wire.client_address import UNKNOWN
from fsproxy.core.wire.proxy_header import ProxyHeader
from fsproxy.http.aiohttp_parts import ParsingProtocol

NO_LINGER = struct.pack("ii", 1, 0)


class ClientTransport(ParsingProtocol):
    """What handlers and tunnels see of a client's connection.

    ``due`` is the end of the time for a head, or of the idle time between two requests.
    """

    __slots__ = ("_closing", "_tail", "_tunnel", "due", "on_writable", "peer", "secure", "shortest")

    def __init__(self, loop: asyncio.AbstractEventLoop, longest_line: int, shortest: float) -> None:
        """``shortest``: see ``sweeper.Timed``; ``longest_line``: see ``ParsingProtocol``."""
        super().__init__(loop, longest_line)
        self.shortest = shortest
        self.due = inf
        self.peer: str | None = None
        """The peer's address; None on a unix socket, UNKNOWN if the kernel has already forgotten it. Of a connection
        with a PROXY header it is the address in that header."""
        self.secure = False
        """The client speaks TLS, to us or to a balancer that said so in a PROXY header."""
        self.on_writable: Callable[[], None] | None = None
        """Called when the client reads again after ``writing_paused``, and when it is gone."""
        self._closing = False
        """We have closed the connection and ignore everything that still comes."""
        self._tunnel: Callable[[bytes], None] | None = None
        self._tail = b""
        """What came behind a request to upgrade."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way on the connection, so that it can be closed at once."""
        raise NotImplementedError

    # -- the handler's side

    @property
    def writable(self) -> bool:
        """Whether bytes can still be written to the client."""
        return self.transport is not None and not self.transport.is_closing()

    def write(self, data: bytes) -> bool:
        """Write to the client. Return False when it is gone."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        transport.write(data)
        return True

    def close(self) -> None:
        """Close the connection after everything that was already written."""
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

    def tunnel(self, on_data: Callable[[bytes], None]) -> None:
        """After a 101, give everything that comes to ``on_data``; ``b""`` means that the client is gone."""
        self._tunnel = on_data
        tail, self._tail = self._tail, b""
        if tail:
            on_data(tail)
        if self.reading_held:
            self.release_reading()

    def announce(self, header: ProxyHeader) -> None:
        """Take the word of a PROXY header for who the client is, before the connection is made."""
        self.peer, self.secure = header.address, header.over_tls

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: a client connected."""
        super().connection_made(transport)
        if transport.get_extra_info("sslcontext") is not None:
            self.secure = True
        if self.peer is not None:
            return
        peername = transport.get_extra_info("peername")
        if isinstance(peername, tuple):
            self.peer = peername[0]
        elif isinstance(transport.get_extra_info("sockname"), tuple):
            # A TCP connection that was reset before it was accepted; uvloop has no address then. It must not pass for
            # a unix socket, whose peer is trusted without an address.
            self.peer = UNKNOWN

    def connection_lost(self, exc: BaseException | None) -> None:
        """asyncio: the client is gone."""
        super().connection_lost(exc)
        if self.on_writable is not None:
            self.on_writable()
        if self._tunnel is not None:
            self._tunnel(b"")
            self._tunnel = None

    def resume_writing(self) -> None:
        """asyncio: the client reads again."""
        super().resume_writing()
        if self.on_writable is not None:
            self.on_writable()

    def expire(self) -> None:
        """Close the connection: the head took too long, or nothing came for too long. No handler is running."""
        self.due = inf
        self.close()
