"""A tunnel that asks about each message before it goes up, and shows each answer on its way down (wire.md 7).

Everything else passes as it came, in order. Data of the client goes through three hands: ``FrameReader`` splits it
into parts of frames, ``UpstreamFrames`` puts the parts together to messages, and ``FrameHandler`` decides on each. A
message that came by itself in one frame, as nearly all do, needs no more than the third. One task does all of it, so
that messages go up in their order. The upstream's side may be missing at first: then the handler connects it, or
answers in its place.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING

from fsproxy.core.wire.sockets.upstream_frames import Control, Message, TooLarge, Unlawful, UpstreamFrames
from fsproxy.core.wire.sockets.websocket import (
    CloseCode,
    FrameReader,
    Opcode,
    Part,
    frame,
    is_text,
    payload_of,
    start_of_payload,
)
from fsproxy.http.aiohttp_parts import masked
from fsproxy.http.inline_task import InlineTask
from fsproxy.proxy.off_loop import run
from fsproxy.proxy.sockets.answering_tunnel import AnsweringTunnel
from fsproxy.proxy.sockets.answers import Ending, FrameVerdict
from fsproxy.proxy.sockets.frames import FrameHandler
from fsproxy.proxy.sockets.reading import ON_LOOP

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
        self._limit = limit
        self._frames = FrameReader()
        self._up = UpstreamFrames(limit)
        self._between = True
        """Nothing is kept of a message or a frame that is not whole."""
        self._chunks: deque[bytes] = deque()
        self._work_done = 0
        self._idle: asyncio.Future[None] | None = None

    def on_client_data(self, data: bytes) -> None:
        """See Tunnel. One worker takes the messages in their order; while it is busy little more is read."""
        if not data:
            self.on_client_gone()
            return
        self.bytes_up += len(data)
        self._chunks.append(data)
        if self._worker is not None:
            self.hold_client()
            return
        self._worker = InlineTask(self._work(), self._loop, self._worked)
        if asyncio.current_task(self._loop) is None:
            self._begin(self._worker)
        else:
            # What came right behind the upgrade is given to us by the upgrade's own task.
            self._loop.call_soon(self._begin, self._worker)

    def _begin(self, worker: InlineTask) -> None:
        if worker.step():
            self._worked(worker)

    def on_client_gone(self) -> None:
        """See Tunnel. What has come from the client still goes up: it may be the last bundle."""
        self._client_gone = True
        self._relieve()
        if self._worker is None:
            self.close()

    async def finished(self) -> None:
        """Wait, after the tunnel was closed, until no message is being decided on any more."""
        if self._worker is not None:
            self._idle = self._loop.create_future()
            await self._idle

    async def _work(self) -> bool:
        self._work_done = 0
        while self._chunks and not self.is_closed:
            data = self._chunks.popleft()
            start = start_of_payload(data, 4) if self._between and not (self._ending or self._client_closes) else 0
            if start and len(data) - start <= self._limit:
                await self._message(data, masked(data[start:], data[start - 4 : start]))
                continue
            for part in self._frames.feed(data):
                await self._take(part)
                self._work_done += 1
                if self._work_done > TURN:
                    self._work_done = 0
                    await asyncio.sleep(0)
                if self.closed.done():
                    return False
            self._between = self._frames.is_between and self._up.opcode is None
        return True

    def _worked(self, worker: InlineTask) -> None:
        """Go on after all that came was taken, or after a fault of ours."""
        self._worker = None
        if worker.error is not None:  # where the next frame begins is not known any more
            self._handler.note_fatal(worker.error)
            self.close()
        if self._idle is not None:
            self._idle.set_result(None)
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
            raw = arrival.raw
            await self._message(raw, await run(len(raw) > ON_LOOP, payload_of, raw, masked))
        elif isinstance(arrival, Control):
            self._control(arrival)
        elif isinstance(arrival, TooLarge):
            await self._follow(self._handler.refuse_too_large(arrival.start, arrival.end), b"")
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

    async def _message(self, raw: bytes, payload: bytes) -> None:
        self._spoke = True
        self._work_done += 20 + len(raw) // 128
        is_sound = payload.isascii() or raw[0] & 0x0F != Opcode.TEXT
        if not (is_sound or await run(len(payload) > ON_LOOP, is_text, payload)):
            self._refuse(CloseCode.NO_TEXT)
            return
        await self._follow(await self._handler.decide(payload), raw)

    def _refuse(self, code: CloseCode) -> None:
        self._handler.note_breach()
        self.end(code)

    async def _follow(self, verdict: FrameVerdict, raw: bytes) -> None:
        """Send up or down what the verdict on these frames says, and close the socket where it says so."""
        self.stay()
        if verdict.answer is not None:
            await self._insert(frame(Opcode.TEXT, verdict.answer))
        elif verdict.ending is Ending.NOT:
            instead = verdict.instead
            self.send_up(raw if instead is None else frame(raw[0] & 0x0F, instead, os.urandom(4), masked))
        if verdict.ending is Ending.NOW:
            self.end(CloseCode.GOING_AWAY)
        elif verdict.ending is Ending.SOON:
            self.end_soon()
