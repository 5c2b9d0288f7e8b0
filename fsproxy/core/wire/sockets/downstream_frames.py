"""The way down of a judged socket: frames pass as they come, are listened to, and ours stand between messages."""

from __future__ import annotations

from fsproxy.core.wire.sockets.websocket import FrameReader, Opcode, Part, payload_of

LONGEST_HEARD = 64 * 1024
"""Bytes of an upstream's message that are listened to; a longer one passes unheard."""


class DownstreamFrames:
    """Follows an upstream's stream of frames.

    RFC 6455 5.4: no other message may stand between the frames of one, so what is put in waits for its end.
    """

    __slots__ = ("_heard", "_in_message", "_reader", "between_frames", "ended", "heard", "waiting")

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._in_message = False
        self._heard: bytearray | None = None
        self.between_frames = True
        """The client has no half of a frame."""
        self.heard: list[bytes] = []
        """Whole text messages, for the caller to take."""
        self.waiting: list[bytes] = []
        """Frames of ours that wait for the end of a message."""
        self.ended = False
        """The last of ours is among them, or has been written: nothing may follow it."""

    def feed(self, data: bytes, *, listening: bool) -> bytes:
        """What is to be written to the client now. ``listening``: texts that begin in ``data`` are heard."""
        out: list[bytes] = []
        for part in self._reader.feed(data):
            if self.finished:
                break
            out.append(part.raw)
            self.between_frames = part.last
            if not part.head.is_control:
                self._follow(part, listening=listening)
            elif part.head.opcode == Opcode.CLOSE and part.last:
                # The upstream closes the socket: nothing of ours may follow.
                self.ended = True
                self._in_message = False
                self.waiting.clear()
            if self.waiting and self.between_messages:
                out += self.waiting
                self.waiting.clear()
        return out[0] if len(out) == 1 else b"".join(out)

    def insert(self, framed: bytes, *, last: bool = False) -> bool:
        """Return True where a frame of ours may be written now; False: ``feed`` will give it out once it may.

        ``last``: it closes the socket. Nothing may be written after it; such a frame is dropped.
        """
        if self.ended:
            return False
        self.ended = last
        if self.between_messages:
            return True
        self.waiting.append(framed)
        return False

    @property
    def finished(self) -> bool:
        """The close has been written, of ours or of the upstream: nothing may follow."""
        return self.ended and not self.waiting and self.between_messages

    @property
    def between_messages(self) -> bool:
        """A message of ours may stand here."""
        return self.between_frames and not self._in_message

    @property
    def rest(self) -> bytes:
        """At the stream's end: what came of a frame whose head is not whole."""
        return self._reader.rest

    def _follow(self, part: Part, *, listening: bool) -> None:
        head = part.head
        if part.last:
            self._in_message = not head.final
        if part.first and head.opcode != Opcode.CONTINUATION:
            self._heard = bytearray() if listening and head.opcode == Opcode.TEXT and not head.reserved else None
        heard = self._heard
        if heard is None:
            return
        if part.first and len(heard) + head.size > LONGEST_HEARD:
            self._heard = None
            return
        heard += part.raw
        if part.last and head.final:
            self._heard = None
            self.heard.append(payload_of(bytes(heard)))
