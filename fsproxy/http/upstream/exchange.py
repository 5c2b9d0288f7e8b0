"""One request to the upstream and its answer: connecting, sending, sending again where that is safe, timing out."""

from __future__ import annotations

import asyncio
from math import inf

import msgspec

from fsproxy.core.failures import Failure
from fsproxy.core.wire.plain_head import AnswerHead
from fsproxy.http.upstream.connection import UpstreamConnection
from fsproxy.http.upstream.pool import ConnectError, Pool, Share

CONNECT_AGAIN = 0.1
"""Seconds between two attempts to reach an upstream that refuses connections (``upstream.page_retry``)."""


class UpstreamExchange(msgspec.Struct, eq=False):
    """One request and its answer: a ResponseReader, of which ``ResponseWriter`` is the half towards the client.

    A request whose body is streamed is sent once. Any other is sent a second time, on a fresh connection, but only if a
    kept-alive connection died before a byte of the answer.
    """

    pool: Pool
    sent: bytes
    """The request, or the head of one that is streamed."""
    share: Share
    head_only: bool = False
    streamed: bool = False
    """``write`` sends the body, and ``body_complete`` follows."""
    upgrade: bool = False
    retry_for: float = 0.0
    """Seconds for which an upstream that refuses connections is tried again."""
    retried: bool = False
    unattended: bool = False
    """The client has left, and the exchange goes on (rules.md 4)."""
    unread: bool = False
    """No client reads the answer, so its bytes buy no more time."""
    connection: UpstreamConnection | None = None
    upgraded: UpstreamConnection | None = None
    """The connection that a 101 turned into a tunnel. It belongs to the caller then."""
    rest: bytes = b""
    """What came behind a 101."""
    retry_until: float = 0.0
    connecting: asyncio.Task[None] | None = None
    writable: asyncio.Future[None] | None = None
    """What ``write`` waits for."""
    body_ended: bool = False
    may_send_again: bool = True
    paused: bool = False
    """The answer is not read on, because the client does not read it."""
    ended: bool = False

    def start(self) -> None:
        """Send the request, at once on an idle connection or as soon as there is one. Do nothing after ``abort``."""
        if self.ended:
            return
        pool = self.pool
        now = pool.time()
        self.retry_until = now + self.retry_for
        connection = pool.take(self.share, now)
        if connection is not None:
            self._begin(connection, now)
        else:
            self.connecting = pool.loop.create_task(self._connect())

    async def write(self, data: bytes) -> bool:
        """Send bytes of a streamed body, framed by the caller. Wait while the upstream does not read.

        Return False if the exchange has ended, so that the rest of the body is of no use.
        """
        while not self.ended and (self.connection is None or self.connection.writing_paused):
            self.writable = self.pool.loop.create_future()
            await self.writable
        if self.ended or self.connection is None:
            return False
        self.connection.write(data)
        self._touch()
        return True

    def body_complete(self) -> None:
        """Note that the streamed body is sent. From now on the upstream is waited for."""
        self.body_ended = True
        self._touch()

    def pause(self) -> None:
        """Stop reading the answer, because the client does not read it."""
        self.paused = True
        if self.connection is not None:
            self.connection.pause()

    def resume(self) -> None:
        """Read the answer again, if it was paused."""
        if self.paused:
            self.paused = False
            if self.connection is not None:
                self.connection.resume()
            self._touch()

    def abort(self, failure: Failure | None = None) -> None:
        """End the exchange now, as failed if there is a ``failure``."""
        if self.ended:
            return
        connection = self.connection
        self._end()
        if connection is not None:
            connection.abort()
        if failure is not None:
            self.fail(failure)

    def outlive_client(self, *, bundle: bool) -> bool:
        """Go on although the client has left. Return False if too many exchanges do so already."""
        self.unattended = not self.ended and self.pool.unattended.admit(self, bundle=bundle)
        return self.unattended

    # -- what becomes of the answer

    def on_whole(self, head: AnswerHead, body: bytes) -> None:
        """See ResponseReader."""
        raise NotImplementedError

    def on_head(self, head: AnswerHead) -> None:
        """See ResponseReader."""
        raise NotImplementedError

    def on_body(self, data: bytes) -> None:
        """See ResponseReader."""
        raise NotImplementedError

    def complete(self) -> None:
        """Know that the answer is complete, and all of it was handed over; or that it is a 101."""
        raise NotImplementedError

    def fail(self, failure: Failure) -> None:
        """Know that there is no answer, or no whole one."""
        raise NotImplementedError

    def flush(self) -> None:
        """Write what one read from the upstream brought."""
        raise NotImplementedError

    # -- the connection's side: a ResponseReader

    def on_end(self) -> None:
        """See ResponseReader. The connection is given back later, in on_progress, as its parser may not be done yet."""
        early = self.streamed and not self.body_ended
        connection = self.connection
        self._end()
        if early and connection is not None:
            # The upstream answered before it had the whole body. It would take the next request for the rest.
            connection.abort()
        else:
            self.connection = connection
        self.complete()

    def on_upgrade(self, rest: bytes) -> None:
        """See ResponseReader."""
        self.upgraded, self.rest = self.connection, rest
        self._end()
        self.complete()

    def on_broken(self, failure: Failure) -> None:
        """See ResponseReader. If a kept-alive connection had died, the request is sent on a fresh one instead."""
        connection = self.connection
        if failure is Failure.UPSTREAM_RESET and self.may_send_again and not self.streamed and connection is not None:
            self.may_send_again = False
            if connection.exchanges > 1:
                self.retried = True
                self.connection = None
                self.connecting = self.pool.loop.create_task(self._connect())
                return
        self._end()
        self.fail(failure)

    def on_progress(self) -> None:
        """See ResponseReader."""
        self.flush()
        if not self.ended:
            if not self.unread:
                self._touch()
        elif self.connection is not None:
            connection, self.connection = self.connection, None
            self.pool.give_back(connection)

    def on_writable(self) -> None:
        """See ResponseReader."""
        if self.writable is not None and not self.writable.done():
            self.writable.set_result(None)

    def expire(self) -> None:
        """Fail the exchange: the upstream took too long to answer, or the client to read the answer."""
        self.abort(Failure.CLIENT_STALLED if self.paused else Failure.UPSTREAM_TIMEOUT)

    # -- within

    async def _connect(self) -> None:
        pool = self.pool
        while True:
            try:
                connection = await pool.connect(self.share)
            except ConnectError as error:
                again = pool.time() < self.retry_until and not pool.closed
                if error.failure is Failure.UPSTREAM_REFUSED and again:
                    await asyncio.sleep(CONNECT_AGAIN)
                    continue
                failure = error.failure
            else:
                self.connecting = None
                if connection.usable:
                    self._begin(connection, pool.time())
                    return
                # Lost between its making and its use, so that no call of ours follows.
                failure = Failure.UPSTREAM_RESET
            self.connecting = None
            self._end()
            self.fail(failure)
            return

    def _begin(self, connection: UpstreamConnection, now: float) -> None:
        self.connection = connection
        connection.due = now + self.pool.timeouts.response
        connection.begin(self, self.sent, head_only=self.head_only, upgrade=self.upgrade)
        if self.writable is not None:
            self.on_writable()

    def _touch(self) -> None:
        if self.connection is not None and not self.ended:
            self.connection.due = self.pool.time() + self.pool.timeouts.response

    def _end(self) -> None:
        """Let go of the connection, and of everything that waits for it."""
        self.ended = True
        if self.connection is not None:
            self.connection.due = inf
            self.connection = None
        if self.unattended:
            self.pool.unattended.discard(self)
        if self.connecting is not None:
            self.connecting.cancel()
            self.connecting = None
        if self.writable is not None:
            self.on_writable()
