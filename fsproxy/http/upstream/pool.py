"""The connections to one upstream host: how many may be open, who may hold how many of them, and who waits for one."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import ssl
from collections import deque
from enum import IntEnum, unique

from fsproxy.config.schema import UpstreamTimeouts
from fsproxy.config.tls import fault_of_peer
from fsproxy.core.failures import Failure
from fsproxy.core.model import Instant
from fsproxy.http.origin import Origin
from fsproxy.http.server import has_fast_lane
from fsproxy.http.sweeper import Sweeper
from fsproxy.http.upstream.connection import UpstreamConnection
from fsproxy.http.upstream.unattended import Unattended

Waiter = tuple[int, "asyncio.Future[UpstreamConnection | None]"]
"""Its number in the order of arrival, and what it waits for: a connection, or None for the right to open one."""


class ConnectError(Exception):
    """No connection to the upstream could be had. ``failure`` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


@unique
class Share(IntEnum):
    """What a connection is held for. Each kind, together with the kinds before it, may hold only a share of the pool.

    So silent clients cannot keep pages and uploads from the upstream (rules.md 4). Open sockets, too, leave a quarter
    of the pool to the requests whose time is limited.
    """

    OTHER = 0
    """Requests on other routes than capture, and bodies that are still coming: at most half of the pool."""
    SOCKET = 1
    """Sockets on capture routes: at most three quarters, together with OTHER."""
    CAPTURE = 2
    """Whole requests on capture routes: all of the pool."""


_CAPTURE = Share.CAPTURE


class Pool:
    """At most ``limit`` connections to one origin. The most recently used one is taken first."""

    def __init__(
        self,
        origin: Origin,
        limit: int,
        timeouts: UpstreamTimeouts,
        context: ssl.SSLContext | None,
        loop: asyncio.AbstractEventLoop,
        sweeper: Sweeper,
    ) -> None:
        self.origin = origin
        self.limit = limit
        self.timeouts = timeouts
        self._context = context
        self.loop = loop
        self.time = loop.time
        self._sweeper = sweeper
        self._idle: list[UpstreamConnection] = []
        self._most = (max(1, limit // 2), limit - limit // 4)
        self._held = [0, 0]
        """How many connections are held for ``OTHER`` and for ``SOCKET``. Those for ``CAPTURE`` need no count."""
        self._waiting: tuple[deque[Waiter], ...] = tuple(deque() for _ in Share)
        self._tickets = itertools.count()
        self.open = 0
        self.unattended = Unattended(limit)
        self.detail = ""
        """More about why the last connection did not come about, in our words or the system's."""
        self.certificate_ends: Instant | None = None
        """When the certificate ends that the last connection saw; None: it saw none, or verified none."""
        self.closed = False
        """A reload has named another upstream, or the program stops: no further connection is tried here."""
        self._has_fast_lane = has_fast_lane()

    def take(self, share: Share, now: float) -> UpstreamConnection | None:
        """Return an idle connection that still looks alive, if ``share`` may have one more."""
        if share is not _CAPTURE and not self._may_hold(share):
            return None
        while self._idle:
            connection = self._idle.pop()
            transport = connection.transport
            if connection.due > now and transport is not None and not transport.is_closing():
                if share is not _CAPTURE:
                    self._hold(connection, share)
                return connection
            connection.abort()
        return None

    async def connect(self, share: Share) -> UpstreamConnection:
        """Open a connection, or wait for one that comes back when no more may be opened. Raise ConnectError."""
        while self.open >= self.limit or not self._may_hold(share):
            handed = await self._wait(share)
            if handed is not None and handed.usable:
                return handed
        self.open += 1
        shortest = min(self.timeouts.response, self.timeouts.idle)
        connection = UpstreamConnection(self._lost, shortest, has_fast_lane=self._has_fast_lane)
        self._hold(connection, share)
        self._sweeper.add(connection)
        try:
            await self._open(connection)
        except BaseException:
            # Its loss is counted here and not in _lost: after a cancellation in the turn in which a connection was
            # made, uvloop never calls connection_lost.
            connection.forget()
            self._lost(connection)
            raise
        return connection

    def _may_hold(self, share: Share) -> bool:
        held = self._held
        return share is _CAPTURE or all(sum(held[: kind + 1]) < self._most[kind] for kind in range(share, 2))

    def _hold(self, connection: UpstreamConnection, share: Share) -> None:
        if share is not _CAPTURE:
            connection.share = share
            self._held[share] += 1

    def _release(self, connection: UpstreamConnection) -> None:
        if connection.share is not None:
            self._held[connection.share] -= 1
            connection.share = None

    async def _wait(self, share: Share) -> UpstreamConnection | None:
        future: asyncio.Future[UpstreamConnection | None] = self.loop.create_future()
        waiter = (next(self._tickets), future)
        self._waiting[share].append(waiter)
        try:
            async with asyncio.timeout(self.timeouts.connect):
                return await future
        except BaseException as error:
            if waiter in self._waiting[share]:
                self._waiting[share].remove(waiter)
            elif future.done() and not future.cancelled():
                # Something was handed over in the same turn in which the wait ended. The next waiter gets it.
                if (handed := future.result()) is not None:
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
                transport, _ = await self.loop.create_connection(
                    lambda: connection,
                    origin.host,
                    origin.port,
                    ssl=self._context if origin.tls else None,
                    server_hostname=origin.host if origin.tls else None,
                )
        except TimeoutError:
            raise ConnectError(Failure.UPSTREAM_CONNECT_TIMEOUT) from None
        except socket.gaierror as error:
            self.detail = "the resolver gives no answer" if error.errno == socket.EAI_AGAIN else ""
            raise ConnectError(Failure.UPSTREAM_DNS) from None
        except ssl.SSLError as error:
            self.detail = fault_of_peer(error, origin.host)
            raise ConnectError(Failure.UPSTREAM_TLS) from None
        except OSError as error:
            self.detail = os.strerror(error.errno).lower() if error.errno else ""
            raise ConnectError(Failure.UPSTREAM_REFUSED) from None
        if origin.tls:
            end = (transport.get_extra_info("peercert") or {}).get("notAfter")
            self.certificate_ends = Instant(ssl.cert_time_to_seconds(end)) if end else None

    def give_back(self, connection: UpstreamConnection) -> None:
        """Take back a connection after an exchange that ended cleanly. It goes to the longest waiting one."""
        if connection.share is not None:
            self._release(connection)
        transport = connection.transport
        if transport is None or transport.is_closing():
            return
        if self.closed:
            connection.abort()
            return
        found = self._next_waiter() if any(self._waiting) else None
        if found is None:
            connection.due = self.time() + self.timeouts.idle
            self._idle.append(connection)
        else:
            share, future = found
            self._hold(connection, share)
            future.set_result(connection)

    def _lost(self, connection: UpstreamConnection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        self._sweeper.discard(connection)
        self._release(connection)
        self._free_place()

    def _free_place(self) -> None:
        self.open -= 1
        self._wake()

    def _wake(self) -> None:
        """Let the exchange that has waited longest open a connection."""
        found = self._next_waiter()
        if found is not None:
            found[1].set_result(None)

    def _next_waiter(self) -> tuple[Share, asyncio.Future[UpstreamConnection | None]] | None:
        """Remove and return the one that has waited longest of those that may hold one more."""
        first: list[tuple[int, Share]] = []
        for share, queue in zip(Share, self._waiting, strict=True):
            while queue and queue[0][1].done():
                queue.popleft()
            if queue and self._may_hold(share):
                first.append((queue[0][0], share))
        if not first:
            return None
        _, share = min(first)
        return share, self._waiting[share].popleft()[1]

    def retime(self, timeouts: UpstreamTimeouts) -> None:
        """Use other timeouts from now on, also for the connections that are idle."""
        for connection in self._idle:
            connection.due += timeouts.idle - self.timeouts.idle
        self.timeouts = timeouts

    def close(self) -> None:
        """Close the idle connections now, and the others when they come back."""
        self.closed = True
        for connection in list(self._idle):
            connection.abort()
