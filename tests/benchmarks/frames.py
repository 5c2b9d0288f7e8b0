"""As much of RFC 6455 as both ends of a measured WebSocket need."""

from __future__ import annotations

import base64
import hashlib
import re

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"\r\nsec-websocket-key: *([^\r]+)\r\n", re.IGNORECASE)


def frame(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    """One whole message. The mask is four zeros, which leaves the payload as it is."""
    mark = 0x80 if masked else 0
    length = len(payload)
    if length < 126:
        head = bytes((0x80 | opcode, mark | length))
    elif length < 65536:
        head = bytes((0x80 | opcode, mark | 126)) + length.to_bytes(2)
    else:
        head = bytes((0x80 | opcode, mark | 127)) + length.to_bytes(8)
    return head + (bytes(4) if masked else b"") + payload


def first(data: bytes) -> tuple[int, int] | None:
    """Opcode and length of the first frame, None while it is not whole."""
    if len(data) < 2:
        return None
    length, head = data[1] & 0x7F, 2
    if length == 126:
        length, head = int.from_bytes(data[2:4]), 4
    elif length == 127:
        length, head = int.from_bytes(data[2:10]), 10
    whole = head + (4 if data[1] & 0x80 else 0) + length
    return (data[0] & 0x0F, whole) if len(data) >= whole else None


def upgrade(target: str, headers: str) -> bytes:
    """The request that opens a socket; ``headers`` are whole lines."""
    return (
        f"GET {target} HTTP/1.1\r\nHost: rs.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    ).encode()


def accepted(request: bytes) -> bytes:
    """The answer to ``upgrade``."""
    key = _KEY.search(request)
    accept = base64.b64encode(hashlib.sha1((key[1] if key else b"") + _MAGIC).digest())  # noqa: S324 - by RFC 6455
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
