"""WebSocket frames, separated without changing a byte (RFC 6455 5.2).

Libraries return messages, not the bytes in which they came. Here both are needed, as most frames are forwarded
unchanged. The head of a frame:

    byte 0      final (1 bit), reserved for extensions (3 bits), opcode (4 bits)
    byte 1      masked (1 bit), size (7 bits); 126: the next 2 bytes hold the size, 127: the next 8 bytes do
    last 4      the mask's key, only if masked
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import re
from collections.abc import Callable, Iterator
from enum import IntEnum, unique

import msgspec


@unique
class Opcode(IntEnum):
    """The kind of a frame."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


FIRST_CONTROL = 8
"""Opcodes from here on belong to control frames, which may come between the frames of a message (RFC 6455 5.4)."""
STEP = 64 * 1024
"""Bytes that are checked to be text in one step, for which all other threads wait."""


@unique
class CloseCode(IntEnum):
    """The reason for closing a socket (RFC 6455 7.4.1)."""

    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    NO_TEXT = 1007

    @property
    def payload(self) -> bytes:
        """The payload of the close frame."""
        return self.to_bytes(2)


Mask = Callable[[bytes, bytes], bytes]
"""Returns a payload masked with a key of four bytes. ``masked`` is one; there are faster ones outside of the core."""
LONGEST_CONTROL = 125
"""Bytes that a ping, pong or close may carry."""
_SHORTEST = {2: 0, 4: 126, 10: 1 << 16}
"""Bytes of a head without its key -> the least size that it may announce, as sizes take their shortest form."""


class FrameHead(msgspec.Struct, frozen=True, gc=False):
    """The decoded head of a frame."""

    opcode: int
    final: bool
    """The message ends with this frame."""
    reserved: bool
    """A bit of an extension is set, such as compression: the payload is not the message's own bytes."""
    masked: bool
    length: int
    """Bytes of the head itself, the mask's key included."""
    size: int
    """Bytes of the payload."""

    @property
    def is_control(self) -> bool:
        """It is a ping, pong or close, no part of a message."""
        return self.opcode >= FIRST_CONTROL

    @property
    def is_lawful(self) -> bool:
        """A client may send it, whatever came before it (RFC 6455 5.1, 5.2, 5.5)."""
        if self.reserved or not self.masked or self.size < _SHORTEST[self.length - 4] or self.size >= 1 << 63:
            return False
        if not self.is_control:
            return self.opcode <= Opcode.BINARY
        if self.opcode == Opcode.CLOSE and self.size == 1:
            return False  # its code takes two bytes
        return self.final and self.size <= LONGEST_CONTROL and self.opcode <= Opcode.PONG


class Part(msgspec.Struct, frozen=True, gc=False):
    """Bytes of one frame as they came. A frame comes in one part or in several."""

    head: FrameHead
    raw: bytes
    first: bool
    last: bool


class FrameReader:
    """Splits the bytes of a stream by the frames that they belong to. Holds back only an incomplete head."""

    __slots__ = ("_head", "_left", "rest")

    def __init__(self) -> None:
        self._head: FrameHead | None = None
        self._left = 0
        self.rest = b""
        """The beginning of a head whose size field is incomplete: at most 9 bytes."""

    @property
    def is_between(self) -> bool:
        """All that came were whole frames."""
        return self._head is None and not self.rest

    def feed(self, data: bytes) -> Iterator[Part]:
        """Yield the parts of the stream's next bytes. Read the iterator to its end before the next call."""
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
    """Return the head of the frame at ``at``; None while its size field is incomplete. Refuse nothing.

    The mask's key need not have come: ``length`` and ``size`` tell where the frame ends without it.
    """
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


def start_of_payload(data: bytes, key: int) -> int:
    """Return where the payload begins in ``data`` that is exactly one message, in one frame of up to 64 KB.

    Nearly all reads of a recorder's socket are. 0: it is anything else, or a frame that may be unlawful.
    ``key``: the bytes of the mask's key, 4 in a client's frame and 0 in an upstream's.
    """
    size = len(data)
    if size < 4 or data[0] not in _WHOLE_MESSAGE:
        return 0
    start, length = 2 + key, data[1] - (key << 5)  # without the bit that says masked, which is 4 << 5
    if length == 126:
        start, length = start + 2, data[2] << 8 | data[3]
        if length < 126:
            return 0
    elif length > 126:
        return 0
    return start if size - start == length else 0


_WHOLE_MESSAGE = (0x80 | Opcode.TEXT, 0x80 | Opcode.BINARY)
"""The first bytes of frames that are a whole message, without reserved bits."""


def masked(payload: bytes, key: bytes, offset: int = 0) -> bytes:
    """Return the payload masked or, as that is the same operation, unmasked (RFC 6455 5.3).

    ``offset``: where ``payload`` begins in its frame's payload.
    """
    if offset % 4:
        key = key[offset % 4 :] + key[: offset % 4]
    size = len(payload)
    # Both become one large number each: a single XOR in C instead of a loop over the bytes in Python.
    pad = key * (size // 4 + 1)
    return (int.from_bytes(payload) ^ int.from_bytes(pad[:size])).to_bytes(size)


def payload_of(raw: bytes, mask: Mask = masked) -> bytes:
    """Return the message in these whole data frames, unmasked."""
    pieces = []
    at = 0
    while (head := read_head(raw, at)) is not None:
        start = at + head.length
        at = start + head.size
        piece = raw[start:at]
        pieces.append(mask(piece, raw[start - 4 : start]) if head.masked else piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def frame(opcode: int, payload: bytes, key: bytes | None = None, mask: Mask = masked) -> bytes:
    """Return a frame that is a whole message. ``key``: the four bytes that mask it, as a client has to."""
    size = len(payload)
    mark = 0x80 if key is not None else 0
    if size < 126:
        head = bytes((0x80 | opcode, mark | size))
    elif size < 1 << 16:
        head = bytes((0x80 | opcode, mark | 126)) + size.to_bytes(2)
    else:
        head = bytes((0x80 | opcode, mark | 127)) + size.to_bytes(8)
    return head + payload if key is None else head + key + mask(payload, key)


def is_text(payload: bytes) -> bool:
    """Return whether this is UTF-8, as a text message must be (RFC 6455 8.1), in steps that let other threads run."""
    if payload.isascii():
        return True
    decode = codecs.getincrementaldecoder("utf-8")().decode
    try:
        for at in range(0, len(payload), STEP):
            decode(payload[at : at + STEP])
        decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==\Z")
VERSION = b"13"


def is_key(value: bytes | None) -> bool:
    """Return whether this is a handshake's key: 16 bytes in base64 (RFC 6455 4.2.1)."""
    return value is not None and _KEY.match(value) is not None


def accept_of(key: bytes) -> bytes:
    """Return the ``Sec-WebSocket-Accept`` for a key (RFC 6455 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
