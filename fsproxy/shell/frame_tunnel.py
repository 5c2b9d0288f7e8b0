"""A tunnel whose text messages are judged before they go up, and listened to on their way down (wire.md 6).

Everything else passes as it came, in order. What is put in for the client stands between whole messages.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING, Protocol

from fsproxy.core.downward import Downward
from fsproxy.core.socket_frames import Verdict
from fsproxy.core.websocket import TOO_BIG, FrameReader, Opcode, Part, frame, payload_of
from fsproxy.shell.tunnel import Tunnel

if TYPE_CHECKING:
    from fsproxy.shell.connection import ClientConnection
    from fsproxy.shell.upstream_connection import UpstreamConnection

ON_LOOP = 64 * 1024
"""Bytes of a message that are unmasked and masked on the event loop; what is larger goes to a thread."""
MOST_INSERTED = 64
"""Frames of ours that may wait for the end of an upstream's message; then the client is not read."""
FRAGMENTS_ALLOWANCE = 64 * 1024
"""Bytes that the heads of a message's frames may take beside the message."""
TURN = 500
"""Work that is done before others get their turn (about 2 ms): a part of a frame counts 1, a message 20, and 1 for
each 128 bytes of it."""
LINGER = 2.0
"""Seconds for which a client that was told 1009 may go on sending, so that it reads why."""


class Judge(Protocol):
    """Who decides. One for each tunnel."""

    @property
    def listening(self) -> bool:
        """Messages that begin now on their way down are to be heard."""

    async def judge(self, text: bytes) -> Verdict:
        """A whole text message of the client."""

    def hear(self, text: bytes) -> None:
        """A whole text message of the upstream; it passes anyway."""

    def too_large(self) -> None:
        """The client's message is larger than may be: its socket is closed."""

    def survived(self, error: Exception) -> None:
        """A fault of ours: the message that it came with goes on as it came."""

    def broken(self, error: Exception) -> None:
        """A fault of ours that leaves nothing to go on with: the socket is closed."""


class FrameTunnel(Tunnel):
    """See the module. ``by``: who judges; ``limit``: bytes of a client's message (``server.max_body``)."""

    def __init__(
        self,
        client: ClientConnection,
        upstream: UpstreamConnection,
        closed: asyncio.Future[None],
        by: Judge,
        limit: int,
    ) -> None:
        super().__init__(client, upstream, closed)
        self._loop = closed.get_loop()
        self._judge = by
        self._limit = limit
        self._up = FrameReader()
        self._chunks: deque[bytes] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._client_gone = self._ending = self._in_text = False
        self._text = bytearray()
        self._text_size = self._work_done = 0
        self._down = Downward()
        self._relief: asyncio.Future[None] | None = None

    # -- up: one worker looks at what came, while it is busy little more is read

    def on_client_data(self, data: bytes) -> None:
        """See Tunnel: messages are judged in their order."""
        self.bytes_up += len(data)
        if self._ending:
            return
        self._chunks.append(data)
        if self._worker is None:
            self._worker = self._loop.create_task(self._work())
        else:
            self.hold_client()

    def on_client_gone(self) -> None:
        """See Tunnel: what has come from it still goes up, the last bundle perhaps."""
        self._client_gone = True
        self._relieve()
        if self._worker is None:
            self.close()

    async def finished(self) -> None:
        """Once the tunnel is closed: no message is being judged any more."""
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        try:
            while self._chunks and not self.is_closed:
                for part in self._up.feed(self._chunks.popleft()):
                    await self._take(part)
                    self._work_done += 1
                    if self._work_done > TURN:
                        self._work_done = 0
                        await asyncio.sleep(0)
                    if self._ending or self.is_closed:
                        return
        except Exception as error:  # noqa: BLE001 - what is left of the stream cannot be told apart any more
            self._judge.broken(error)
            self.close()
        finally:
            self._worker = None
            if self._client_gone:
                self.close()
            else:
                self.release_client()

    async def _take(self, part: Part) -> None:
        head = part.head
        if head.is_control:
            self.send_up(part.raw)
            return
        if part.first and head.opcode != Opcode.CONTINUATION:
            if self._in_text:
                # Not what RFC 6455 allows; it is for the upstream to say so.
                self.send_up(self._whole_text())
            self._in_text = head.opcode == Opcode.TEXT and not head.reserved
        if not self._in_text:
            self.send_up(part.raw)
            return
        if part.first:
            self._text_size += head.size
        if max(self._text_size, len(self._text) - FRAGMENTS_ALLOWANCE) > self._limit:
            self._refuse()
            return
        self._text += part.raw
        if part.last and head.final:
            await self._message(self._whole_text())

    def _whole_text(self) -> bytes:
        raw = bytes(self._text)
        self._text.clear()
        self._text_size = 0
        self._in_text = False
        return raw

    async def _message(self, raw: bytes) -> None:
        self._work_done += 20 + len(raw) // 128
        try:
            answer, framed = await self._judged(raw)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost data
            self._judge.survived(error)
            self.send_up(raw)
            return
        if answer is None:
            self.send_up(framed)
        else:
            await self._insert(answer)

    async def _judged(self, raw: bytes) -> tuple[bytes | None, bytes]:
        """What the client is answered, or else what goes up: frames, both of them."""
        payload = payload_of(raw) if len(raw) <= ON_LOOP else await asyncio.to_thread(payload_of, raw)
        verdict = await self._judge.judge(payload)
        text = verdict.instead
        if verdict.answer is not None:
            return frame(Opcode.TEXT, verdict.answer), raw
        if text is None:
            return None, raw
        key = os.urandom(4)
        if len(text) > ON_LOOP:
            return None, await asyncio.to_thread(frame, Opcode.TEXT, text, key)
        return None, frame(Opcode.TEXT, text, key)

    def _refuse(self) -> None:
        """Close with 1009; the rest of what the client sends is thrown away until it has read that."""
        self._ending = True
        self._judge.too_large()
        self._text.clear()
        code = TOO_BIG.to_bytes(2)
        self.send_up(frame(Opcode.CLOSE, code, os.urandom(4)))
        if self._down.between_frames:
            self.send_down(frame(Opcode.CLOSE, code))
        self._loop.call_later(LINGER, self.close)

    # -- down: passed on at once; what is ours waits for the end of a message

    def on_upstream_data(self, data: bytes) -> None:
        """See Tunnel."""
        self.bytes_down += len(data)
        if self._ending:
            # The client was told that the socket is closed: nothing may follow that, and it needs time to read it.
            return
        if not data:
            if self._down.rest:
                self.send_down(self._down.rest)
            self.close()
            return
        ready = self._down.feed(data, listening=self._judge.listening)
        if ready:
            self.send_down(ready)
        if not self._down.waiting:
            self._relieve()
        while self._down.heard:
            try:
                self._judge.hear(self._down.heard.pop(0))
            except Exception as error:  # noqa: BLE001 - it passed all the same
                self._judge.survived(error)

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

    def close(self) -> None:
        """See Tunnel."""
        super().close()
        self._relieve()

    def _relieve(self) -> None:
        if self._relief is not None and not self._relief.done():
            self._relief.set_result(None)
