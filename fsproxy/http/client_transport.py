"""A client's transport: its address and time limits; writing to it, closing and breaking it."""

from __future__ import annotations

import asyncio
import socket
import struct
from math import inf
from typing import TYPE_CHECKING

from fsproxy.core.wire.client_address import UNKNOWN
from fsproxy.http.fast_lane import TwoLanes
from fsproxy.http.sweeper import Timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsproxy.http.server import DataServer

NO_LINGER = struct.pack("ii", 1, 0)


class ClientTransport(TwoLanes, Timed):
    """See the module. ``due`` is the end of the head's time, or of the idle time between requests."""

    __slots__ = ("_closing", "due", "on_writable", "peer", "secure", "server")

    def __init__(self, server: DataServer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop, server.known_heads, server.plain_limit, server.max_header)
        self.server = server
        self.due = inf
        self.peer: str | None = None
        """The peer's address; None on a unix socket, UNKNOWN where the kernel has forgotten it."""
        self.secure = False
        self.on_writable: Callable[[], None] | None = None
        """Called when the client reads again after ``writing_paused``."""
        self._closing = False
        """We have closed the connection: nothing that comes is read any more."""

    @property
    def shortest(self) -> float:
        """See ``Timed``."""
        return self.server.shortest_wait

    # -- the handler's side

    @property
    def writable(self) -> bool:
        """Whether bytes can still be written to the client."""
        return self.transport is not None and not self.transport.is_closing()

    def write(self, data: bytes) -> bool:
        """Write to the client; False when it is gone."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        transport.write(data)
        return True

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
        if isinstance(peername, tuple):
            self.peer = peername[0]
        elif isinstance(transport.get_extra_info("sockname"), tuple):
            # Reset before it was accepted: uvloop has no address then. Only a peer on a unix socket is trusted without.
            self.peer = UNKNOWN
        self.secure = transport.get_extra_info("sslcontext") is not None

    def connection_lost(self, exc: BaseException | None) -> None:
        """asyncio: the client is gone."""
        super().connection_lost(exc)
        if self.on_writable is not None:
            self.on_writable()

    def resume_writing(self) -> None:
        """asyncio: the client reads again."""
        super().resume_writing()
        if self.on_writable is not None:
            self.on_writable()

    def expire(self) -> None:
        """Timed: a head that takes too long, or nothing at all; nobody waits for an answer."""
        self.due = inf
        self.close()
