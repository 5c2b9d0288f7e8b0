"""WebSocket frames, split without changing a byte (RFC 6455 5.2): what is not changed is forwarded as it came.

Libraries hand over messages, not the bytes they came in; here both are needed.
"""

from __future__ import annotations

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


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame: its payload unmasked, and the bytes it came in."""

    opcode: int
    final: bool
    payload: bytes
    raw: bytes


class FrameTooLarge(Exception):  # noqa: N818 - a state of the stream; the caller ends it
    """A frame, or a message of several, over the limit."""


class FrameSplitter:
    """Cuts a stream into frames; what is not complete yet is kept, at most ``limit`` bytes of it."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int) -> None:
        self._buffer = b""
        self._limit = limit

    @property
    def between_frames(self) -> bool:
        """Nothing of a frame has come yet: another one may be put in here."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now. Raises FrameTooLarge."""
        buffer = self._buffer + data if self._buffer else data
        frames = []
        at = 0
        while (frame := self._frame(buffer, at)) is not None:
            frames.append(frame)
            at += len(frame.raw)
        self._buffer = buffer[at:]
        return frames

    def _frame(self, buffer: bytes, at: int) -> Frame | None:
        if len(buffer) - at < 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        size, head = second & 0x7F, at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < head + width:
                return None
            size = int.from_bytes(buffer[head : head + width])
            head += width
        if size > self._limit:
            raise FrameTooLarge
        start = head + (4 if second & 0x80 else 0)
        if len(buffer) < start + size:
            return None
        payload = buffer[start : start + size]
        if second & 0x80:
            payload = masked(payload, buffer[head:start])
        return Frame(first & 0x0F, bool(first & 0x80), payload, buffer[at : start + size])


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
