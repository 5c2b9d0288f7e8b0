"""The frames that go down a validated socket: the upstream's pass unchanged, and ours go between its messages."""

from __future__ import annotations

from fsproxy.core.wire.sockets.websocket import FrameReader, Opcode, Part, payload_of, start_of_payload

LONGEST_OBSERVED = 64 * 1024
"""Bytes of an upstream's message that is kept for the caller to read. A longer one passes unread."""

_TEXT = 0x80 | Opcode.TEXT


class DownstreamFrames:
    """Follows an upstream's stream of frames, and finds the places at which frames of ours may be inserted.

    No other message may come between the frames of one (RFC 6455 5.4), so an inserted frame waits for its end.
    """

    __slots__ = ("_in_message", "_reader", "_text", "between_frames", "ended", "observed", "waiting")

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._in_message = False
        self._text: bytearray | None = None
        """The frames of the text message that is being observed."""
        self.between_frames = True
        """The client has received whole frames only."""
        self.observed: list[bytes] = []
        """Whole text messages, for the caller to take."""
        self.waiting: list[bytes] = []
        """Frames of ours that wait for the end of a message."""
        self.ended = False
        """Nothing may follow what has been written and what is ``waiting``."""

    def feed(self, data: bytes, *, observing: bool) -> bytes:
        """Take the upstream's next bytes. Return what is to be written to the client now.

        ``observing``: keep the text messages that begin in ``data``.
        """
        if not self._in_message and self._reader.is_between and not self.ended:
            start = start_of_payload(data, 0)
            if start:
                if observing and data[0] == _TEXT:
                    self.observed.append(data[start:])
                return data
        out: list[bytes] = []
        for part in self._reader.feed(data):
            if self.finished:
                break
            out.append(part.raw)
            self.between_frames = part.last
            if not part.head.is_control:
                self._follow(part, observing=observing)
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
        """Return whether the caller may write this frame now. If not, ``feed`` returns it at the next such place.

        ``last``: the frame closes the socket. Frames that come after it are dropped.
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
        """A close frame has been written, ours or the upstream's: nothing may follow."""
        return self.ended and not self.waiting and self.between_messages

    @property
    def between_messages(self) -> bool:
        """A message of ours may be written now."""
        return self.between_frames and not self._in_message

    @property
    def rest(self) -> bytes:
        """The bytes of an incomplete frame head, at the stream's end."""
        return self._reader.rest

    def _follow(self, part: Part, *, observing: bool) -> None:
        head = part.head
        if part.last:
            self._in_message = not head.final
        if part.first and head.opcode != Opcode.CONTINUATION:
            self._text = bytearray() if observing and head.opcode == Opcode.TEXT and not head.reserved else None
        text = self._text
        if text is None:
            return
        if part.first and len(text) + head.size > LONGEST_OBSERVED:
            self._text = None
            return
        text += part.raw
        if part.last and head.final:
            self._text = None
            self.observed.append(payload_of(bytes(text)))
