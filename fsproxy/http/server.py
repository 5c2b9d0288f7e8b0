"""All client connections, and what they share: aiohttp's low-level server, making connections of ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

from fsproxy.core.wire.plain_head import KnownHeads
from fsproxy.http.client_request import Handler
from fsproxy.http.connection import HARD_LIMIT, ClientConnection
from fsproxy.http.fast_lane import plain_limit

if TYPE_CHECKING:
    from fsproxy.config.schema import ServerConfig
    from fsproxy.http.sweeper import Sweeper

HANDSHAKE_SECONDS = 1.0
"""For a handshake of TLS that is under way when we stop: what its client sends at its end has been on its way since."""
FLUSH_PERIOD = 0.02
"""Seconds between two looks at whether all clients have read their answers, when stopping."""


class DataServer(web.Server):
    """A protocol factory: no router, no middlewares, no access log."""

    def __init__(
        self,
        handler: Handler,
        config: ServerConfig,
        sweeper: Sweeper,
        *,
        on_malformed: Callable[[], None],
        on_crash: Callable[[BaseException | None], None],
    ) -> None:
        super().__init__(cast("Any", handler))
        self.handler = handler
        self.known_heads = KnownHeads()
        self.plain_limit = plain_limit(config.max_header)
        self.header_timeout = config.header_timeout
        self.keepalive = config.keepalive
        self.shortest_wait = min(config.header_timeout, config.keepalive)
        self.max_header = config.max_header
        self.on_malformed = on_malformed
        self.on_crash = on_crash
        self._max_connections = config.max_connections
        self._sweeper = sweeper
        self._open: set[ClientConnection] = set()
        self._unattended: set[ClientConnection] = set()
        """Those whose client is gone while a request of theirs goes on."""
        self._unopened = 0
        """Connections that were accepted and not opened: their handshake of TLS is under way, or has failed."""
        self._accepted_at = 0.0

    def __call__(self) -> ClientConnection:  # type: ignore[override]  # ours in place of a RequestHandler
        """A new connection (asyncio's protocol factory). It is opened after the handshake of TLS."""
        self._unopened += 1
        self._accepted_at = self._loop.time()
        return ClientConnection(self, self._loop)

    def __len__(self) -> int:
        """How many connections there are, open ones and those whose client is gone while a request goes on."""
        return len(self._open) + len(self._unattended)

    @property
    def connections(self) -> list[ClientConnection]:  # type: ignore[override]  # ours in place of RequestHandlers
        """All that are open."""
        return list(self._open)

    @property
    def overloaded(self) -> bool:
        """More connections than ``server.max_connections``."""
        return len(self) > self._max_connections

    def opened(self, connection: ClientConnection) -> None:
        """A client connected."""
        self._unopened -= 1
        self._open.add(connection)
        self._sweeper.add(connection)
        if len(self) > self._max_connections * HARD_LIMIT:
            connection.abort()

    def closed(self, connection: ClientConnection, *, unattended: bool) -> None:
        """A client is gone. ``unattended``: a request of its goes on, and ``finished`` is called at its end."""
        self._open.discard(connection)
        self._sweeper.discard(connection)
        if unattended:
            self._unattended.add(connection)

    def finished(self, connection: ClientConnection) -> None:
        """Nothing goes on any more on the connection of a client that has left."""
        self._unattended.discard(connection)

    def close_idle(self) -> None:
        """Close the connections on which nothing is under way."""
        for connection in self.connections:
            if connection.is_idle:
                connection.close()

    @property
    def _shakes_hands(self) -> bool:
        return self._unopened > 0 and self._loop.time() < self._accepted_at + HANDSHAKE_SECONDS

    async def flush(self, seconds: float) -> None:
        """Close what is idle, again and again, until every client has read its answer to the end and is gone.

        What goes on for clients that have left is waited for, too.
        For so long at the most. A look is also taken at those that were accepted just before the listener closed.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.sleep(FLUSH_PERIOD)
                while len(self) or self._shakes_hands:  # a transport tells nobody that its buffer is empty
                    self.close_idle()
                    await asyncio.sleep(FLUSH_PERIOD)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's signature
        """Close every connection; those that are not closed after ``timeout`` seconds are broken."""
        for connection in self.connections:
            connection.close()
        await self.flush(timeout or 0.0)
        for connection in self.connections:
            connection.abort()
