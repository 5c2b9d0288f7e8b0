"""WebSocket frames, told apart without changing a byte (RFC 6455 5.2): what is not changed is forwarded as it came.

Libraries hand over messages, not the bytes they came in; here both are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum, unique

import msgspec


@unique
class Opcode(IntEnum):
    """What a frame carries."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


FIRST_CONTROL = 8
"""Opcodes from here on are of control frames: they may come between the frames of a message (RFC 6455 5.4)."""
TOO_BIG = 1009
"""The code with which a connection is closed for a message that is too big (RFC 6455 7.4.1)."""


class FrameHead(msgspec.Struct, frozen=True, gc=False):
    """The first bytes of a frame."""

    opcode: int
    final: bool
    """The message ends with this frame."""
    reserved: bool
    """A bit of an extension is set (compression, say): the payload is not what it seems."""
    masked: bool
    length: int
    """Bytes of the head itself, with the mask's key."""
    size: int
    """Bytes of the payload."""

    @property
    def is_control(self) -> bool:
        """Ping, pong or close: no part of a message."""
        return self.opcode >= FIRST_CONTROL


class Part(msgspec.Struct, frozen=True, gc=False):
    """Bytes of one frame as they came; a frame comes in one part or in several."""

    head: FrameHead
    raw: bytes
    first: bool
    last: bool


class FrameReader:
    """Says of the bytes of a stream which frame they belong to. Holds back nothing but a head that is not whole."""

    __slots__ = ("_head", "_left", "rest")

    def __init__(self) -> None:
        self._head: FrameHead | None = None
        self._left = 0
        self.rest = b""
        """The beginning of a head, at most 9 bytes: of which frame is not known yet."""

    def feed(self, data: bytes) -> Iterator[Part]:
        """The stream goes on with ``data``. Read the iterator to its end before the next call."""
        if self.rest:
            data = self.rest + data
            self.rest = b""
        at, size = 0, len(data)
        while at < size:
            head, first = self._head, False
            if head is None:
                head, first = read_head(data, at), True
                if head is None:
                    self.rest = data[at:]
                    return
                self._left = head.length + head.size
            end = min(size, at + self._left)
            self._left -= end - at
            last = not self._left
            self._head = None if last else head
            yield Part(head, data[at:end], first, last)
            at = end


def read_head(data: bytes, at: int) -> FrameHead | None:
    """The head of the frame that begins at ``at``; None while its length is not there. Nothing is refused."""
    if len(data) - at < 2:
        return None
    first, second = data[at], data[at + 1]
    size, length = second & 0x7F, 2
    if size >= 126:
        length = 4 if size == 126 else 10
        if len(data) - at < length:
            return None
        size = int.from_bytes(data[at + 2 : at + length])
    masks = bool(second & 0x80)
    return FrameHead(first & 0x0F, bool(first & 0x80), bool(first & 0x70), masks, length + 4 * masks, size)


def payload_of(raw: bytes) -> bytes:
    """The message that whole data frames carry together, unmasked."""
    pieces = []
    at = 0
    while (head := read_head(raw, at)) is not None:
        start = at + head.length
        at = start + head.size
        piece = raw[start:at]
        pieces.append(masked(piece, raw[start - 4 : start]) if head.masked else piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def masked(payload: bytes, key: bytes) -> bytes:
    """Mask or unmask (RFC 6455 5.3): the same both ways. Whole numbers are xored, not single bytes."""
    size = len(payload)
    pad = key * (size // 4 + 1)
    return (int.from_bytes(payload) ^ int.from_bytes(pad[:size])).to_bytes(size)


def frame(opcode: Opcode, payload: bytes, key: bytes | None = None) -> bytes:
    """A final frame; ``key``: four bytes, for what goes up as a client's."""
    size = len(payload)
    mask = 0x80 if key is not None else 0
    if size < 126:
        head = bytes((0x80 | opcode, mask | size))
    elif size < 1 << 16:
        head = bytes((0x80 | opcode, mask | 126)) + size.to_bytes(2)
    else:
        head = bytes((0x80 | opcode, mask | 127)) + size.to_bytes(8)
    return head + payload if key is None else head + key + masked(payload, key)
