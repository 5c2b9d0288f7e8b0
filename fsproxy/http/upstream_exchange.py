"""One request to the upstream and its answer: connecting, sending, retrying where that is safe, timing out."""

from __future__ import annotations

import asyncio
from math import inf

from fsproxy.core.failures import Failure
from fsproxy.http.pool import ConnectError, Pool, Share
from fsproxy.http.responses import ResponseHead, ResponseSink
from fsproxy.http.sweeper import Timed
from fsproxy.http.upstream import Upstream
from fsproxy.http.upstream_connection import UpstreamConnection

CONNECT_AGAIN = 0.1
"""Seconds between two attempts to reach an upstream that refuses connections (``upstream.page_retry``)."""


class UpstreamExchange(Timed):
    """See the module. A request whose body is streamed is sent once; any other may be sent again.

    Retried once, on a fresh connection, only when a kept-alive one died before a byte of the answer.
    """

    __slots__ = (
        "_again",
        "_body_ended",
        "_connecting",
        "_ended",
        "_head_only",
        "_paused",
        "_pool",
        "_request",
        "_retry_until",
        "_share",
        "_streamed",
        "_upgrade",
        "_upstream",
        "_writable",
        "connection",
        "due",
        "retried",
        "sink",
        "unattended",
        "unread",
        "upgraded",
    )

    def __init__(
        self, upstream: Upstream, pool: Pool, request: bytes, sink: ResponseSink, *, share: Share,
        head_only: bool = False, streamed: bool = False, upgrade: bool = False, retry_for: float = 0.0,
    ) -> None:  # fmt: skip
        self._upstream = upstream
        self._pool = pool
        self._request = request
        self.sink = sink
        self._share = share
        self._head_only = head_only
        self._streamed = streamed
        self._upgrade = upgrade
        self._body_ended = not streamed
        self._retry_until = upstream.loop.time() + retry_for
        self._writable: asyncio.Future[None] | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._again = True
        self._paused = False
        self._ended = False
        self.retried = False
        self.unattended = False
        """Its client has left, and it goes on (rules.md 4)."""
        self.unread = False
        """Nothing reads the answer: its bytes buy no more time."""
        self.connection: UpstreamConnection | None = None
        self.upgraded: UpstreamConnection | None = None
        """The connection that a 101 turned into a tunnel: the caller's from then on."""
        self.due = inf

    def start(self) -> None:
        """Send the request: at once on an idle connection, else as soon as there is one. It may have ended before."""
        if self._ended:
            return
        self._upstream.sweeper.add(self)
        connection = self._pool.take(self._share)
        if connection is not None:
            self._send(connection)
        else:
            self._connecting = self._upstream.loop.create_task(self._connect())

    async def write(self, data: bytes) -> bool:
        """Send bytes of a streamed body (framed by the caller), waiting while the upstream does not read.

        False: the exchange has ended, and the rest of the body is of no use.
        """
        while not self._ended and (self.connection is None or self.connection.writing_paused):
            self._writable = self._upstream.loop.create_future()
            await self._writable
        if self._ended or self.connection is None:
            return False
        self.connection.write(data)
        self._touch()
        return True

    def body_complete(self) -> None:
        """The streamed body is sent: from now on the upstream is waited for."""
        self._body_ended = True
        self._touch()

    def pause(self) -> None:
        """The client does not read: neither do we."""
        self._paused = True
        if self.connection is not None:
            self.connection.pause()

    def resume(self) -> None:
        """The client reads again."""
        self._paused = False
        if self.connection is not None:
            self.connection.resume()
        if not self._ended:
            self._touch()

    def abort(self, failure: Failure | None = None) -> None:
        """End the exchange now; with ``failure`` the sink is told."""
        if self._ended:
            return
        connection = self.connection
        self._end()
        if connection is not None:
            connection.abort()
        if failure is not None:
            self.sink.on_broken(failure)
            self.sink.on_progress()

    def outlive_client(self, *, bundle: bool) -> bool:
        """Go on though the client has left; False when too many do so already."""
        self.unattended = not self._ended and self._pool.unattended.admit(self, bundle=bundle)
        return self.unattended

    def expire(self) -> None:
        """Timed: the upstream took too long, or the client to read its answer."""
        self.abort(Failure.CLIENT_STALLED if self._paused else Failure.UPSTREAM_TIMEOUT)

    # -- the connection's side (upstream_connection.ResponseReader)

    def on_head(self, head: ResponseHead) -> None:
        """See ResponseReader."""
        self.sink.on_head(head)

    def on_body(self, data: bytes) -> None:
        """See ResponseReader."""
        self.sink.on_body(data)

    def on_end(self) -> None:
        """See ResponseReader. The connection is given back in on_progress: its parser may not be done yet."""
        early = not self._body_ended
        connection = self.connection
        self._end()
        if early and connection is not None:
            # The upstream answered before it had the whole body: what is left of it cannot be taken back.
            connection.abort()
        else:
            self.connection = connection
        self.sink.on_end()

    def on_upgrade(self, rest: bytes) -> None:
        """See ResponseReader."""
        self.upgraded = self.connection
        self._end()
        self.sink.on_upgrade(rest)

    def on_broken(self, failure: Failure) -> None:
        """See ResponseReader. A stale connection is no failure: the request goes out again on a fresh one."""
        connection = self.connection
        if failure is Failure.UPSTREAM_RESET and self._again and not self._streamed and connection is not None:
            self._again = False
            if connection.exchanges > 1:
                self.retried = True
                self.connection = None
                self.due = inf
                self._connecting = self._upstream.loop.create_task(self._connect())
                return
        self._end()
        self.sink.on_broken(failure)

    def on_progress(self) -> None:
        """See ResponseReader."""
        self.sink.on_progress()
        if not self._ended:
            if not self.unread:
                self._touch()
        elif self.connection is not None:
            connection, self.connection = self.connection, None
            self._pool.give_back(connection)

    def on_writable(self) -> None:
        """See ResponseReader."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # -- within

    async def _connect(self) -> None:
        while True:
            try:
                connection = await self._pool.connect(self._share)
            except ConnectError as error:
                again = self._upstream.loop.time() < self._retry_until and not self._upstream.closed
                if error.failure is Failure.UPSTREAM_REFUSED and again:
                    await asyncio.sleep(CONNECT_AGAIN)
                    continue
                self._connecting = None
                self._end()
                self.sink.on_broken(error.failure)
                self.sink.on_progress()
                return
            break
        self._connecting = None
        self._send(connection)

    def _send(self, connection: UpstreamConnection) -> None:
        if not connection.usable:
            # Lost in the moment between its making and its use: nobody would tell us.
            self._end()
            self.sink.on_broken(Failure.UPSTREAM_RESET)
            self.sink.on_progress()
            return
        self.connection = connection
        connection.begin(self, head_only=self._head_only, upgrade=self._upgrade)
        connection.write(self._request)
        self._touch()
        self.on_writable()

    def _touch(self) -> None:
        self.due = self._upstream.loop.time() + self._upstream.timeouts.response

    def _end(self) -> None:
        self._ended = True
        self.due = inf
        self._upstream.sweeper.discard(self)
        if self.unattended:
            self._pool.unattended.discard(self)
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        self.connection = None
        self.on_writable()
