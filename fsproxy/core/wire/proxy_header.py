"""The PROXY header, in which a balancer on layer 4 names its client at the very beginning of a connection.

There are two versions, both of HAProxy's specification (``doc/proxy-protocol.txt``, 2020). Version 1 is a line of text,
version 2 a binary block that may carry more fields (TLVs) behind the addresses. A reader must not guess: it either
expects a header on every connection, or on none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum, unique
from functools import cache
from ipaddress import IPv4Address, IPv6Address

from fsproxy.core.wire.client_address import UNKNOWN

LONGEST = 16 * 1024
"""Bytes of a header of version 2. The format allows four times as much, but real ones have a few hundred, and some
kilobytes where they carry a client's certificate."""
LONGEST_LINE = 107
"""Bytes of a header of version 1, its end included."""

_LINE, _SIGNATURE = b"PROXY ", b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED = len(_SIGNATURE) + 4
"""Bytes of a header of version 2 before the addresses."""
_PORT = r"(0|[1-9][0-9]{0,4})"
_TCP = re.compile(rf"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) {_PORT} {_PORT}\r\n".encode())
_NOBODY = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_ADDRESSES = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}
"""Bytes of the addresses of each family over a stream. Datagrams do not come over a connection."""
_CHECKSUM, _SSL = 0x03, 0x20
_OVER_TLS = 0x01
"""The flag, in the first byte of the TLV about TLS, that the client speaks TLS to the balancer."""
_REVERSED_CASTAGNOLI = 0x82F63B78


@unique
class HeaderFault(StrEnum):
    """Why a connection is closed because of the PROXY header with which it begins, or should begin."""

    UNTRUSTED = "untrusted"
    """The peer is none of ``client_ip.trusted_proxies``. What it sends is not read."""
    MISSING = "missing"
    """What came is no PROXY header."""
    MALFORMED = "malformed"
    """It begins like a header, and breaks the format or a limit."""
    INCOMPLETE = "incomplete"
    """A part of a header came, and the rest did not, in ``server.header_timeout`` or before the peer left."""
    UNEXPECTED = "unexpected"
    """It begins with a header, and ``listen.proxy_protocol`` is off."""


class ProxyHeaderError(Exception):
    """No header can be made of what came."""

    def __init__(self, fault: HeaderFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a header says of the client."""

    length: int
    """Bytes of the header. What follows is the client's own."""
    address: str | None
    """The client's address; ``UNKNOWN`` where the balancer names none; None: the balancer speaks for itself."""
    over_tls: bool = False
    """The client speaks TLS to the balancer."""


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """Return the header at the beginning of ``data``; None if it is not whole yet. Raise ProxyHeaderError."""
    if data.startswith(_LINE):
        return _read_line(data)
    if data.startswith(_SIGNATURE):
        return _read_block(data)
    if _LINE.startswith(data) or _SIGNATURE.startswith(data):
        return None
    raise ProxyHeaderError(HeaderFault.MISSING)


def begins_like_header(data: bytes) -> bool:
    """Return whether something that is no HTTP is meant as a PROXY header."""
    return data.startswith((_LINE, _SIGNATURE))


def _malformed() -> ProxyHeaderError:
    return ProxyHeaderError(HeaderFault.MALFORMED)


def _read_line(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\n", 0, LONGEST_LINE) + 1
    if not end:
        if len(data) >= LONGEST_LINE:
            raise _malformed()
        return None
    line = data[:end]
    if _NOBODY.fullmatch(line) is not None:
        return ProxyHeader(end, UNKNOWN)
    found = _TCP.fullmatch(line)
    if found is None or max(int(found[4]), int(found[5])) > 0xFFFF:
        raise _malformed()
    make = IPv4Address if found[1] == b"4" else IPv6Address
    try:
        client, _ = make(found[2].decode()), make(found[3].decode())
    except ValueError:
        raise _malformed() from None
    return ProxyHeader(end, str(client))


def _read_block(data: bytes) -> ProxyHeader | None:
    if len(data) < _FIXED:
        return None
    command, family = data[len(_SIGNATURE)], data[len(_SIGNATURE) + 1]
    end = _FIXED + int.from_bytes(data[_FIXED - 2 : _FIXED])
    if command not in {_LOCAL, _PROXY} or end > LONGEST:
        raise _malformed()
    if len(data) < end:
        return None
    if command == _LOCAL:  # a health check; what it carries must be ignored
        return ProxyHeader(end, None)
    size = _ADDRESSES.get(family)
    if size is None or _FIXED + size > end:
        raise _malformed()
    if family == _UNSPECIFIED:  # so it is not known where the fields begin
        return ProxyHeader(end, UNKNOWN)
    fields = dict(_fields(data[:end], _FIXED + size))
    address = UNKNOWN
    if family == _TCP4:
        address = str(IPv4Address(data[_FIXED : _FIXED + 4]))
    elif family == _TCP6:
        address = str(IPv6Address(data[_FIXED : _FIXED + 16]))
    flags = fields.get(_SSL) or b"\x00"
    return ProxyHeader(end, address, over_tls=bool(flags[0] & _OVER_TLS))


def _fields(header: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the value of each TLV from ``at`` on. Check the checksum, of which there is one at most."""
    is_checked = False
    while at < len(header):
        start = at + 3
        kind, end = header[at], start + int.from_bytes(header[at + 1 : start])
        if start > len(header) or end > len(header):
            raise _malformed()
        value = header[start:end]
        if kind == _CHECKSUM:
            # The format does not say which of two counts, and each would cost a pass over the header.
            if is_checked or crc32c(header[:start] + bytes(len(value)) + header[end:]) != int.from_bytes(value):
                raise _malformed()
            is_checked = True
        yield kind, value
        at = end


def crc32c(data: bytes) -> int:
    """Return the checksum of RFC 3720 (Castagnoli), which zlib does not have. 16 KB take about 1 ms."""
    table, value = _table(), 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    entries: Iterable[int] = range(256)
    for _ in range(8):
        entries = [entry >> 1 ^ _REVERSED_CASTAGNOLI * (entry & 1) for entry in entries]
    return tuple(entries)
