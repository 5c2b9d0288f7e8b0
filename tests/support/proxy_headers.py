"""PROXY headers of version 2, made from the bytes that its specification names."""

from __future__ import annotations

import socket
import struct

from fsproxy.core.wire.proxy_header import crc32c

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
LOCAL, PROXY = 0x20, 0x21
UNSPECIFIED, TCP4, TCP6, UNIX = 0x00, 0x11, 0x21, 0x31
CHECKSUM = 0x03


def block(family: int, rest: bytes, command: int = PROXY) -> bytes:
    """A header with these bytes behind its fixed part."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


def field(kind: int, value: bytes) -> bytes:
    """A TLV."""
    return struct.pack("!BH", kind, len(value)) + value


def over(family: int, client: str, fields: bytes = b"") -> bytes:
    """A header that names a client over TCP."""
    of_family = socket.AF_INET if family == TCP4 else socket.AF_INET6
    server = socket.inet_pton(of_family, "10.0.0.1" if family == TCP4 else "::1")
    ports = struct.pack("!HH", 5555, 80)
    return block(family, socket.inet_pton(of_family, client) + server + ports + fields)


def checked(family: int, client: str, fields: bytes = b"") -> bytes:
    """The same with a checksum."""
    header = over(family, client, field(CHECKSUM, bytes(4)) + fields)
    at = len(header) - len(fields) - 4
    return header[:at] + struct.pack("!I", crc32c(header)) + header[at + 4 :]
