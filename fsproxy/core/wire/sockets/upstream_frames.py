"""The frames that come up a validated socket, assembled to whole messages in bounded memory (RFC 6455 5)."""

from __future__ import annotations

import msgspec

from fsproxy.core.wire.sockets.frames import KEPT
from fsproxy.core.wire.sockets.websocket import CloseCode, FrameHead, FrameReader, Opcode, Part, masked

FRAGMENTS_ALLOWANCE = 64 * 1024
"""Bytes that the heads of a message's frames may take beside the message."""


class Control(msgspec.Struct, frozen=True, gc=False):
    """A ping, pong or close, as it came."""

    opcode: int
    raw: bytes


class Message(msgspec.Struct, frozen=True, gc=False):
    """A whole message: its frames as they came."""

    opcode: int
    raw: bytes


class TooLarge(msgspec.Struct, frozen=True, gc=False):
    """The end of a message over the limit; holds the message's first and last bytes."""

    start: bytes
    end: bytes


class Unlawful(msgspec.Struct, frozen=True, gc=False):
    """A frame that no client may send. What follows it cannot be trusted either."""

    code: CloseCode


Arrival = Control | Message | TooLarge | Unlawful


class UpstreamFrames:
    """Assembles a client's messages. ``limit``: the most bytes of a message (``server.max_body``)."""

    __slots__ = ("_control", "_limit", "_raw", "_size", "_skipped", "opcode")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._control = bytearray()
        self.opcode: int | None = None
        """The opcode of the message that has begun; None between two messages."""
        self._raw = bytearray()
        self._size = 0
        self._skipped: _Skipped | None = None

    def take(self, part: Part) -> Arrival | None:
        """Take the next part of a frame. Return what it completes, None while nothing is complete."""
        head = part.head
        if part.first and not self._may_follow(head):
            return Unlawful(CloseCode.PROTOCOL_ERROR)
        if head.is_control:
            return self._take_control(part)
        if part.first:
            if self.opcode is None:
                self.opcode = head.opcode
            self._size += head.size
        if self._skipped is None:
            # The announced size decides before the bytes come. The bytes kept, heads included, are bounded as well:
            # empty frames have no size, and a client could send them without end.
            if max(self._size, len(self._raw) - FRAGMENTS_ALLOWANCE) <= self._limit:
                self._raw += part.raw
            else:
                self._skip()
        if self._skipped is not None:
            self._skipped.take(part)
        return self._ended() if part.last and head.final else None

    def _may_follow(self, head: FrameHead) -> bool:
        if not head.is_lawful:
            return False
        return head.is_control or (head.opcode == Opcode.CONTINUATION) == (self.opcode is not None)

    def _take_control(self, part: Part) -> Control | None:
        self._control += part.raw
        if not part.last:
            return None
        raw = bytes(self._control)
        self._control.clear()
        return Control(part.head.opcode, raw)

    def _skip(self) -> None:
        """Keep no more than the two ends of this message, from here on."""
        self._skipped = _Skipped()
        for part in FrameReader().feed(bytes(self._raw)):
            self._skipped.take(part)
        self._raw.clear()

    def _ended(self) -> Message | TooLarge:
        opcode, skipped, raw = self.opcode or 0, self._skipped, bytes(self._raw)
        self.opcode = self._skipped = None
        self._size = 0
        self._raw.clear()
        return TooLarge(skipped.start, skipped.end) if skipped is not None else Message(opcode, raw)


class _Skipped:
    """Collects the unmasked first and last bytes of a message that is not kept."""

    __slots__ = ("_at", "_head", "end", "start")

    def __init__(self) -> None:
        self.start = b""
        self.end = b""
        self._head = b""
        """The bytes of the frame's head that have come; the last four are the mask's key."""
        self._at = 0
        """The offset in the frame's payload, which the mask depends on."""

    def take(self, part: Part) -> None:
        raw, length = part.raw, part.head.length
        if part.first:
            self._head, self._at = b"", 0
        missing = length - len(self._head)
        if missing:
            self._head += raw[:missing]
            raw = raw[missing:]
        if not raw:
            return
        key = self._head[-4:]
        if len(self.start) < KEPT:
            self.start += masked(raw[: KEPT - len(self.start)], key, self._at)
        last = raw[-KEPT:]
        self._at += len(raw)
        self.end = (self.end + masked(last, key, self._at - len(last)))[-KEPT:]
