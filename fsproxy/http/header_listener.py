"""A data listener whose connections begin with a PROXY header (``listen.proxy_protocol``, rules.md 4).

The header comes before a TLS handshake, too, and the event loop reads as much as there is. So it is read here from the
bare socket: ``MSG_PEEK`` shows what has come, the parser tells how much of that is the header, and only so much is
taken. Then the event loop gets the socket, on which nothing is left that a client did not send itself.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

from fsproxy.core.wire.proxy_header import HeaderFault, ProxyHeader, ProxyHeaderError, read_proxy_header
from fsproxy.http.connection import ClientConnection
from fsproxy.http.server import DataServer

PEEKED = 2048
"""Bytes that are looked at in one step. A header that is longer is read in several."""
ACCEPTED = 64
"""Connections that are accepted before the event loop turns to others."""
PAUSE_SECONDS = 1.0
"""How long nothing is accepted after the system had no descriptor or no memory for a connection, as asyncio does."""
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class HeaderListener:
    """Accepts connections from trusted peers, reads their headers, and lets ``server`` serve the clients behind them.

    It can be used in place of an ``asyncio.Server``, as far as a listener's owner needs one.
    """

    def __init__(self, sock: socket.socket, server: DataServer, backlog: int, **tls: Any) -> None:
        """Listen on a socket that is bound. ``tls``: the options of ``connect_accepted_socket`` for TLS."""
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self.server = server
        server.expects_headers = True
        self._tls = tls
        self._waiting = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._paused: asyncio.TimerHandle | None = None
        sock.listen(backlog)
        self._resume()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The socket that listens; nothing once it is closed."""
        return (self._socket,) if self._socket.fileno() >= 0 else ()

    def close(self) -> None:
        """Accept no more. What was accepted goes on."""
        if self._paused is not None:
            self._paused.cancel()
        elif self.sockets:
            self._loop.remove_reader(self._socket)
        self._socket.close()

    def _resume(self) -> None:
        self._paused = None
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED):
            try:
                sock, address = self._socket.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._loop.remove_reader(self._socket)
                    self._paused = self._loop.call_later(PAUSE_SECONDS, self._resume)
                return  # else there is none, or it has gone meanwhile: Linux reports its fault here
            peer = address[0] if isinstance(address, tuple) else None
            if not self.server.trusts(peer):
                self.server.on_header_fault(HeaderFault.UNTRUSTED, peer)
            elif self.server.has_room_for(self._waiting + len(self._opening) + 1):
                sock.setblocking(False)
                self._waiting += 1
                Arrival(self, sock, peer, ClientConnection(self.server)).read()
                continue
            sock.close()

    def arrived(self, sock: socket.socket, connection: ClientConnection, header: ProxyHeader | None) -> None:
        """Let a connection be served whose header has been read; None: close it, as there is no valid one."""
        self._waiting -= 1
        if header is None:
            self.server.refused()
            sock.close()
            return
        connection.announce(header)
        opening = self._loop.create_task(self._open(sock, connection))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def _open(self, sock: socket.socket, connection: ClientConnection) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: connection, sock, **self._tls)
        except OSError:  # the client has left, or its TLS handshake failed
            sock.close()


class Arrival:
    """A connection whose header has not come whole. ``due`` is the end of the time for it: see ``sweeper.Timed``."""

    __slots__ = ("_connection", "_listener", "_peer", "_received", "_socket", "_waits", "due", "shortest")

    def __init__(
        self, listener: HeaderListener, sock: socket.socket, peer: str | None, connection: ClientConnection
    ) -> None:
        self._listener = listener
        self._socket = sock
        self._peer = peer
        self._connection = connection
        self._received = b""
        self._waits = False
        self.shortest = listener.server.header_timeout
        self.due = connection.loop.time() + self.shortest

    def read(self) -> None:
        """Take what has come of the header, and nothing of what follows it."""
        before = len(self._received)
        try:
            found = self._socket.recv(PEEKED, socket.MSG_PEEK)
            header = read_proxy_header(self._received + found)
            self._socket.recv(header.length - before if header is not None else len(found))
        except BlockingIOError:
            self._wait()
        except OSError:
            self._end(HeaderFault.INCOMPLETE)
        except ProxyHeaderError as error:
            self._end(error.fault)
        else:
            self._received += found
            if header is not None:
                self._leave()
                self._listener.arrived(self._socket, self._connection, header)
            elif found:
                self._wait()
            else:
                self._end(HeaderFault.INCOMPLETE)

    def expire(self) -> None:
        """Close the connection: its header took too long."""
        self._end(HeaderFault.INCOMPLETE)

    def _wait(self) -> None:
        if not self._waits:
            self._waits = True
            self._connection.loop.add_reader(self._socket, self.read)
            self._listener.server.sweeper.add(self)

    def _leave(self) -> None:
        if self._waits:
            self._connection.loop.remove_reader(self._socket)
            self._listener.server.sweeper.discard(self)

    def _end(self, fault: HeaderFault) -> None:
        """Close the connection. A peer that sent nothing only wanted to know whether somebody listens."""
        self._leave()
        if self._received or fault is not HeaderFault.INCOMPLETE:
            self._listener.server.on_header_fault(fault, self._peer)
        self._listener.arrived(self._socket, self._connection, None)
