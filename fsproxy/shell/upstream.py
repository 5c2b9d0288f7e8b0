"""The upstream side: which host a path goes to, a pool of connections to each, one exchange a request.

Not aiohttp's client: that costs a proxy more than everything else together (performance.md, finding 1),
invents headers and does not send a POST again on a kept-alive connection that died (rules.md 4).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit

from fsproxy.config.schema import UpstreamConfig, UpstreamTimeouts
from fsproxy.core.failures import Failure
from fsproxy.core.plain_head import KnownHeads
from fsproxy.shell.fast_lane import plain_limit
from fsproxy.shell.sweeper import Sweeper
from fsproxy.shell.upstream_connection import MAX_HEAD, UpstreamConnection
from fsproxy.shell.upstream_settings import tls_context


@dataclass(frozen=True, slots=True)
class Origin:
    """One upstream host: scheme, address, and what its URL puts before a path."""

    host: str
    port: int
    tls: bool
    authority: bytes
    """The Host header."""
    prefix: str
    """Put before every target; "" or ``/something`` without a trailing slash."""

    @classmethod
    def of(cls, url: str) -> Origin:
        """From a URL that the loader has checked."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        return cls(
            parts.hostname or "",
            parts.port or (443 if tls else 80),
            tls,
            parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii"),
            parts.path.rstrip("/"),
        )


class ConnectError(Exception):
    """No connection to the upstream; ``failure`` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class Pool:
    """Connections to one origin: at most ``limit``, the most recently used first."""

    def __init__(
        self,
        origin: Origin,
        limit: int,
        timeouts: UpstreamTimeouts,
        context: ssl.SSLContext | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.origin = origin
        self.limit = limit
        self.timeouts = timeouts
        self._context = context
        self._loop = loop
        self._idle: list[UpstreamConnection] = []
        self._waiting: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        self.open = 0
        self._closed = False
        self._known_heads = KnownHeads()
        self._plain_limit = plain_limit(MAX_HEAD)

    def take(self) -> UpstreamConnection | None:
        """An idle connection that still looks alive."""
        fresh_enough = self._loop.time() - self.timeouts.idle
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since >= fresh_enough:
                return connection
            connection.abort()
        return None

    async def connect(self) -> UpstreamConnection:
        """A connection nobody has used yet; waits for a place when all are in use. Raises ConnectError."""
        while self.open >= self.limit:
            handed = await self._wait()
            if handed is not None and handed.usable:
                return handed
        self.open += 1
        connection = UpstreamConnection(self._lost, self._known_heads, self._plain_limit)
        try:
            await self._open(connection)
        except BaseException:
            # Not when it is lost: cancelled right after it was made, uvloop's transport never tells that it is.
            connection.forget()
            self._left()
            raise
        return connection

    async def _wait(self) -> UpstreamConnection | None:
        waiter: asyncio.Future[UpstreamConnection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self.timeouts.connect):
                return await waiter
        except BaseException as error:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif waiter.done() and not waiter.cancelled():
                # Handed over in the very moment in which nobody wanted it any more.
                if (handed := waiter.result()) is not None:
                    self.give_back(handed)
                else:
                    self._wake()
            if isinstance(error, TimeoutError):
                raise ConnectError(Failure.UPSTREAM_BUSY) from None
            raise

    async def _open(self, connection: UpstreamConnection) -> None:
        origin = self.origin
        try:
            async with asyncio.timeout(self.timeouts.connect):
                await self._loop.create_connection(
                    lambda: connection,
                    origin.host,
                    origin.port,
                    ssl=self._context if origin.tls else None,
                    server_hostname=origin.host if origin.tls else None,
                )
        except TimeoutError:
            raise ConnectError(Failure.UPSTREAM_CONNECT_TIMEOUT) from None
        except socket.gaierror:
            raise ConnectError(Failure.UPSTREAM_DNS) from None
        except ssl.SSLError:
            raise ConnectError(Failure.UPSTREAM_TLS) from None
        except OSError:
            raise ConnectError(Failure.UPSTREAM_REFUSED) from None

    def give_back(self, connection: UpstreamConnection) -> None:
        """After an exchange that ended cleanly; closed connections are dropped."""
        if not connection.usable:
            return
        if self._closed:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._idle.append(connection)

    def _lost(self, connection: UpstreamConnection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        self._left()

    def _left(self) -> None:
        self.open -= 1
        self._wake()

    def _wake(self) -> None:
        """A place is free: whoever waits longest may take it."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def expire_idle(self) -> None:
        """Close what has been idle too long."""
        fresh_enough = self._loop.time() - self.timeouts.idle
        for connection in [c for c in self._idle if c.idle_since < fresh_enough]:
            connection.abort()

    def close(self) -> None:
        """Close what is idle now, and everything else as it comes back."""
        self._closed = True
        for connection in list(self._idle):
            connection.abort()


class Upstream:
    """All origins of one configuration."""

    def __init__(
        self,
        config: UpstreamConfig,
        loop: asyncio.AbstractEventLoop,
        sweeper: Sweeper,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """``context``: made by ``tls_context`` beforehand, as that reads files."""
        self.loop = loop
        self.sweeper = sweeper
        self.timeouts = config.timeouts
        context = context or tls_context(config.tls)
        pools: dict[Origin, Pool] = {}

        def pool(url: str) -> Pool:
            origin = Origin.of(url)
            if origin not in pools:
                pools[origin] = Pool(origin, config.max_connections, config.timeouts, context, loop)
            return pools[origin]

        self._default = pool(config.url)
        self._prefixes = tuple((prefix, pool(url)) for prefix, url in config.prefixes)
        self._pools = tuple(pools.values())
        self._housekeeping = loop.call_later(config.timeouts.idle, self._keep_house)

    def pool_for(self, path: str) -> Pool:
        """The pool of the origin that serves ``path`` (the raw target's path)."""
        for prefix, pool in self._prefixes:
            if path.startswith(prefix):
                return pool
        return self._default

    def retime(self, timeouts: UpstreamTimeouts) -> None:
        """Follow other timeouts, from what is done next on."""
        self.timeouts = timeouts
        for pool in self._pools:
            pool.timeouts = timeouts

    @property
    def connections(self) -> int:
        """How many connections are open, in use or idle."""
        return sum(pool.open for pool in self._pools)

    def close(self) -> None:
        """Close idle connections; those in use are closed as they come back."""
        self._housekeeping.cancel()
        for pool in self._pools:
            pool.close()

    def _keep_house(self) -> None:
        for pool in self._pools:
            pool.expire_idle()
        self._housekeeping = self.loop.call_later(max(1.0, self.timeouts.idle / 4), self._keep_house)
