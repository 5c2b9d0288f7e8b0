"""The way down of a recorder's socket, and its end: frames of ours are put in, the upstream's observed.

What is put in comes between whole messages of the upstream, never between the fragments of one (RFC 6455 5.4):
``core.wire.sockets.downstream_frames`` knows where the stream is, and holds back a frame that must wait. The socket
ends with a close frame of ours on both sides, and with time for the client to read it.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from fsproxy.core.wire.sockets.downstream_frames import DownstreamFrames
from fsproxy.core.wire.sockets.websocket import CloseCode, Opcode, frame
from fsproxy.http.tunnel import Tunnel

if TYPE_CHECKING:
    from fsproxy.http.client_transport import ClientTransport
    from fsproxy.http.inline_task import InlineTask
    from fsproxy.proxy.sockets.frames import FrameHandler

MOST_INSERTED = 64
"""Frames of ours that may wait for the end of an upstream's message. With more, the client is not read."""
LINGER = 2.0
"""Seconds for which a client may go on sending after our close frame, so that it reads why."""
GRACE = 1.0
"""Seconds between a failed upload and our close frame: the page frame of the next page may be on its way."""
SILENCE = 5.0
"""Seconds for which a socket that may not stay open is kept for a client's first message."""


class AnsweringTunnel(Tunnel):
    """What ``FrameTunnel`` is built on: everything but the way up."""

    def __init__(self, client: ClientTransport, closed: asyncio.Future[None], handler: FrameHandler) -> None:
        super().__init__(client, closed)
        self._loop = closed.get_loop()
        self._handler = handler
        self._down = DownstreamFrames()
        self._client_gone = self._client_closes = self._ending = self._draining = self._spoke = False
        self._worker: InlineTask | None = None
        """Takes the client's messages one by one; None while there is none."""
        self._relief: asyncio.Future[None] | None = None
        self._soon: asyncio.TimerHandle | None = None

    def on_upstream_data(self, data: bytes) -> None:
        """See Tunnel."""
        if not data:
            self._upstream_gone()
            return
        self.bytes_down += len(data)
        if self._down.finished:
            # The client has our close frame. Nothing may follow it, and the client needs time to read it.
            return
        ready = self._down.feed(data, observing=bool(self._handler.unanswered))
        if ready:
            self.send_down(ready)
        if not self._down.waiting:
            self._relieve()
        while self._down.observed:
            try:
                self._handler.observe(self._down.observed.pop(0))
            except Exception as error:  # noqa: BLE001 - the text has passed all the same
                self._handler.note_fault(error)
        if self._draining and self._spoke:
            self._end_if_idle()

    def _upstream_gone(self) -> None:
        if self._ending:
            # The client needs time to read our close frame.
            return
        if not (self._client_gone or self._client_closes):
            self._answer_for_upstream()
        if self._down.rest:
            self.send_down(self._down.rest)
        self.close()

    def _answer_for_upstream(self) -> None:
        """Answer the frames that wait. After half a message of the upstream the client can read no answer."""
        for text in self._handler.fail_unanswered():
            framed = frame(Opcode.TEXT, text)
            if self._down.insert(framed) and not self._down.rest:
                self.send_down(framed)

    async def _insert(self, framed: bytes) -> None:
        """Send the client a frame of ours, and wait while it has too many to read."""
        if self._down.insert(framed):
            self.send_down(framed)
        while not (self.is_closed or self._client_gone) and (
            self._client.writing_paused or len(self._down.waiting) > MOST_INSERTED
        ):
            self._relief = self._loop.create_future()
            await self._relief

    def on_client_writable(self) -> None:
        """See Tunnel."""
        super().on_client_writable()
        self._relieve()

    def _relieve(self) -> None:
        if self._relief is not None and not self._relief.done():
            self._relief.set_result(None)

    # -- the end: a close frame of ours, and time to read it

    def end(self, code: CloseCode) -> None:
        """Close the socket on both sides, after the frames that were put in so far; wait for the client to go."""
        if self._ending or self.is_closed:
            return
        self._ending = True
        self.send_up(frame(Opcode.CLOSE, code.payload, os.urandom(4)))
        framed = frame(Opcode.CLOSE, code.payload)
        if self._down.insert(framed, last=True):
            self.send_down(framed)
        self.stay()
        self._soon = self._loop.call_later(LINGER, self.close)

    def end_soon(self) -> None:
        """Close the socket, unless it has an upstream by then, or another message comes in time."""
        self.stay()
        self._soon = self._loop.call_later(GRACE if self._spoke else SILENCE, self._end_if_idle)

    def stay(self) -> None:
        """Take ``end_soon`` back: another message has come."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def drain(self) -> None:
        """Close the socket once nothing waits for an answer. One that was opened just now may still speak."""
        self._draining = True
        if self._spoke:
            self._end_if_idle()
        else:
            self.end_soon()

    def cut(self) -> None:
        """Answer what still waits, and close the socket: the time to drain is over."""
        self._draining = True
        self._answer_for_upstream()
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._worker is not None:
            self.end_soon()
        elif not self._handler.unanswered and (self._draining or not self.has_upstream):
            self.end(CloseCode.GOING_AWAY)

    def close(self) -> None:
        """See Tunnel."""
        super().close()
        self.stay()
        self._relieve()
