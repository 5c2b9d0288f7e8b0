"""All client connections, and what they share."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from fsproxy.config.schema import ServerConfig
from fsproxy.core.wire.proxy_header import HeaderFault
from fsproxy.http.client_request import ClientRequest, Handler
from fsproxy.http.client_transport import ClientTransport
from fsproxy.http.sweeper import Sweeper

HARD_LIMIT = 1.1
"""Connections over ``server.max_connections`` are answered 503 (502 where that ends a recording); over this
multiple of it they are dropped."""
HANDSHAKE_SECONDS = 1.0
"""How long a TLS handshake that is under way is waited for when we stop. What its client sends first may be on its way
already."""
FLUSH_PERIOD = 0.02
"""Seconds between two looks at whether all clients have read their answers, when stopping."""

SWITCH = "FSPROXY_FAST_LANE"
"""``off`` in the environment: everything takes the general lane. For tests, which run through both."""


def has_fast_lane() -> bool:
    """Return whether plain messages are read by ``plain_head``, and not by the general parsers."""
    return os.environ.get(SWITCH) != "off"


class DataServer:
    """Counts the client connections, and closes them when the process stops."""

    def __init__(
        self,
        handler: Handler,
        config: ServerConfig,
        sweeper: Sweeper,
        *,
        on_malformed: Callable[[], None],
        on_crash: Callable[[BaseException | None], None],
        new_request: type[ClientRequest] = ClientRequest,
        trusts: Callable[[str | None], bool] = lambda _: False,
        on_header_fault: Callable[[HeaderFault, str | None], None] = lambda *_: None,
    ) -> None:
        """Have ``handler`` answer requests, which are objects of the class ``new_request``.

        ``on_crash`` is called with a fault that escaped a handler, or with None if the handler was cancelled. With
        ``listen.proxy_protocol``, ``trusts`` returns whether a peer may announce clients in PROXY headers.
        ``on_header_fault`` is called for each connection that is closed because of its PROXY header, with its peer.
        """
        self.new_request = new_request
        self.handler = handler
        self.has_fast_lane = has_fast_lane()
        self.header_timeout = config.header_timeout
        self.keepalive = config.keepalive
        self.shortest_wait = min(config.header_timeout, config.keepalive)
        self.max_header = config.max_header
        self.on_malformed = on_malformed
        self.on_crash = on_crash
        self.trusts = trusts
        self.on_header_fault = on_header_fault
        self.expects_headers = False
        """Connections begin with a PROXY header."""
        self._max_connections = config.max_connections
        self.sweeper = sweeper
        self._open: set[ClientTransport] = set()
        self._unattended: set[ClientTransport] = set()
        """Connections whose client is gone while a request of it goes on."""
        self._unopened = 0
        """Connections that were accepted and not opened: their TLS handshake is under way, or has failed."""
        self._accepted_at = 0.0
        self.overloaded = False
        """Whether there are more connections than ``server.max_connections``."""

    def __len__(self) -> int:
        """Return the number of connections that are open, or whose client is gone while a request goes on."""
        return len(self._open) + len(self._unattended)

    @property
    def connections(self) -> list[ClientTransport]:
        """All open connections."""
        return list(self._open)

    def accepted(self) -> None:
        """Count a connection that the listener has accepted. It is opened after its TLS handshake, if there is one."""
        self._unopened += 1
        self._accepted_at = self.sweeper.time()

    def refused(self) -> None:
        """Count a connection as gone that was accepted, and closed before it was opened."""
        self._unopened -= 1

    def has_room_for(self, more: int) -> bool:
        """Return whether so many connections more are within what is not dropped at once."""
        return len(self) + more <= self._max_connections * HARD_LIMIT

    def opened(self, connection: ClientTransport) -> None:
        """Add a connection, which can carry requests from now on."""
        self._unopened -= 1
        self._open.add(connection)
        self.sweeper.add(connection)
        self._compare()
        if not self.has_room_for(0):
            connection.abort()

    def closed(self, connection: ClientTransport, *, unattended: bool) -> None:
        """Remove a connection. ``unattended``: a request of it goes on, and ``finished`` is called at its end."""
        self._open.discard(connection)
        self.sweeper.discard(connection)
        if unattended:
            self._unattended.add(connection)
        self._compare()

    def finished(self, connection: ClientTransport) -> None:
        """Remove a connection whose client has left, now that its last request has ended."""
        self._unattended.discard(connection)
        self._compare()

    def _compare(self) -> None:
        self.overloaded = len(self) > self._max_connections

    async def flush(self, seconds: float) -> None:
        """Close idle connections again and again, until all connections are closed or the ``seconds`` are over.

        A connection closes when its client has read the answer to the end. Requests whose clients have left are
        waited for, too, and so are connections that were accepted just before the listener closed.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.sleep(FLUSH_PERIOD)
                while len(self) or self._shakes_hands:  # no event says that a transport's buffer is empty
                    for connection in self.connections:
                        if connection.is_idle:
                            connection.close()
                    await asyncio.sleep(FLUSH_PERIOD)

    async def shutdown(self, seconds: float) -> None:
        """Close every connection; break those that are not closed after ``seconds``."""
        for connection in self.connections:
            connection.close()
        await self.flush(seconds)
        for connection in self.connections:
            connection.abort()

    @property
    def _shakes_hands(self) -> bool:
        return self._unopened > 0 and self.sweeper.time() < self._accepted_at + HANDSHAKE_SECONDS
