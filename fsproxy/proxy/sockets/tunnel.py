"""A tunnel that asks about each message before it goes up, and shows each answer on its way down (wire.md 7).

Everything else passes as it came, in order. Data of the client goes through three hands: ``FrameReader`` splits it
into parts of frames, ``UpstreamFrames`` puts the parts together to messages, and ``FrameHandler`` decides on each. One
task does all of it, so that messages go up in their order. The upstream's side may be missing at first: then the
handler connects it, or answers in its place.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING

from fsproxy.core.wire.sockets.upstream_frames import Control, Message, TooLarge, Unlawful, UpstreamFrames
from fsproxy.core.wire.sockets.websocket import CloseCode, FrameReader, Opcode, Part, frame, is_text, payload_of
from fsproxy.proxy.sockets.answering_tunnel import AnsweringTunnel
from fsproxy.proxy.sockets.answers import Ending, FrameVerdict
from fsproxy.proxy.sockets.frames import ON_LOOP, FrameHandler

if TYPE_CHECKING:
    from fsproxy.http.client_transport import ClientTransport

TURN = 500
"""Work that is done before others get their turn (about 2 ms): a part of a frame counts 1, a message 20, and 1 for
each 128 bytes of it."""


class FrameTunnel(AnsweringTunnel):
    """A recorder's socket. ``limit``: bytes of a client's message (``server.max_body``)."""

    def __init__(
        self, client: ClientTransport, closed: asyncio.Future[None], handler: FrameHandler, limit: int
    ) -> None:
        super().__init__(client, closed, handler)
        self._frames = FrameReader()
        self._up = UpstreamFrames(limit)
        self._chunks: deque[bytes] = deque()
        self._work_done = 0

    def on_client_data(self, data: bytes) -> None:
        """See Tunnel. One worker takes the messages in their order; while it is busy little more is read."""
        self.bytes_up += len(data)
        self._chunks.append(data)
        if self._worker is None:
            self._worker = self._loop.create_task(self._work())
        else:
            self.hold_client()

    def on_client_gone(self) -> None:
        """See Tunnel. What has come from the client still goes up: it may be the last bundle."""
        self._client_gone = True
        self._relieve()
        if self._worker is None:
            self.close()

    async def finished(self) -> None:
        """Wait, after the tunnel was closed, until no message is being decided on any more."""
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        try:
            while self._chunks and not self.is_closed:
                for part in self._frames.feed(self._chunks.popleft()):
                    await self._take(part)
                    self._work_done += 1
                    if self._work_done > TURN:
                        self._work_done = 0
                        await asyncio.sleep(0)
                    if self.closed.done():
                        return
        except Exception as error:  # noqa: BLE001 - where the next frame begins is not known any more
            self._handler.note_fatal(error)
            self.close()
        finally:
            self._worker = None
            if self._client_gone:
                self.close()
            else:
                self.release_client()
                if self._draining and self._spoke:
                    self._end_if_idle()

    async def _take(self, part: Part) -> None:
        if self._ending:
            # Nothing is taken any more. The client's own close says that it has read ours.
            if part.head.opcode == Opcode.CLOSE and part.last:
                self.close()
            return
        if self._client_closes:
            return
        arrival = self._up.take(part)
        if isinstance(arrival, Message):
            await self._message(arrival)
        elif isinstance(arrival, Control):
            self._control(arrival)
        elif isinstance(arrival, TooLarge):
            await self._follow(self._handler.refuse_too_large(arrival.start, arrival.end), arrival)
        elif isinstance(arrival, Unlawful):
            self._refuse(arrival.code)

    def _control(self, control: Control) -> None:
        """Pass a ping, pong or close on; without an upstream answer it in its place."""
        self._client_closes = control.opcode == Opcode.CLOSE
        if self.has_upstream:
            self.send_up(control.raw)
        elif control.opcode == Opcode.CLOSE:
            self.send_down(frame(Opcode.CLOSE, payload_of(control.raw)))
            self.close()
        elif control.opcode == Opcode.PING:
            self.send_down(frame(Opcode.PONG, payload_of(control.raw)))

    async def _message(self, message: Message) -> None:
        self._spoke = True
        raw = message.raw
        large = len(raw) > ON_LOOP
        self._work_done += 20 + len(raw) // 128
        payload = await asyncio.to_thread(payload_of, raw) if large else payload_of(raw)
        if message.opcode == Opcode.TEXT and not (
            await asyncio.to_thread(is_text, payload) if large else is_text(payload)
        ):
            self._refuse(CloseCode.NO_TEXT)
            return
        await self._follow(await self._handler.decide(payload), message)

    def _refuse(self, code: CloseCode) -> None:
        self._handler.note_breach()
        self.end(code)

    async def _follow(self, verdict: FrameVerdict, message: Message | TooLarge) -> None:
        """Send up or down what the verdict says, and close the socket where it says so."""
        self.stay()
        if verdict.answer is not None:
            await self._insert(frame(Opcode.TEXT, verdict.answer))
        elif isinstance(message, Message) and verdict.ending is Ending.NOT:
            self.send_up(message.raw if verdict.instead is None else await self._framed(message, verdict.instead))
        if verdict.ending is Ending.NOW:
            self.end(CloseCode.GOING_AWAY)
        elif verdict.ending is Ending.SOON:
            self.end_soon()

    async def _framed(self, message: Message, text: bytes) -> bytes:
        opcode, key = Opcode(message.opcode), os.urandom(4)
        if len(text) > ON_LOOP:
            return await asyncio.to_thread(frame, opcode, text, key)
        return frame(opcode, text, key)
