"""PROXY headers, beside a plain reading of their specification (rules.md 4)."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

from fsproxy.core.wire.client_address import UNKNOWN
from fsproxy.core.wire.proxy_header import (
    LONGEST,
    LONGEST_LINE,
    HeaderFault,
    ProxyHeader,
    ProxyHeaderError,
    read_proxy_header,
)
from fuzz.harness import Target
from support.proxy_headers import LOCAL, SIGNATURE, TCP4, TCP6, UNIX, UNSPECIFIED, block, checked, field, over


def check_header(data: bytes) -> None:
    """A header is what the specification says, ends where it says, and depends on nothing behind it."""
    read = _read(data)
    if isinstance(read, ProxyHeader):
        header = data[: read.length]
        assert len(header) == read.length <= LONGEST
        assert read_proxy_header(header) == read
        assert read_proxy_header(header[:-1]) is None
        assert read.address == (_of_line(header) if header.startswith(b"PROXY ") else _of_block(header))
    elif read is None:
        assert len(data) < LONGEST
        assert b"PROXY ".startswith(data[:6]) or SIGNATURE.startswith(data[:12])
    elif read is HeaderFault.MISSING:
        assert not data.startswith((b"PROXY ", SIGNATURE))
    # What has been refused is refused whatever comes next.
    if isinstance(read, HeaderFault):
        assert _read(data + SIGNATURE) is read


def _read(data: bytes) -> ProxyHeader | HeaderFault | None:
    try:
        return read_proxy_header(data)
    except ProxyHeaderError as error:
        return error.fault


def _of_line(header: bytes) -> str:
    assert header.endswith(b"\r\n")
    assert len(header) <= LONGEST_LINE
    words = header[:-2].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return UNKNOWN
    protocol, source, target, *ports = words[1:]
    assert ip_address(source).version == ip_address(target).version == int(protocol.removeprefix("TCP"))
    assert all(str(int(port)) == port and 0 <= int(port) <= 65535 for port in ports)
    assert len(ports) == 2
    return str(ip_address(source))


def _of_block(header: bytes) -> str | None:
    assert header.startswith(SIGNATURE)
    command, family, length = struct.unpack_from("!BBH", header, 12)
    assert len(header) == 16 + length
    if command == LOCAL:
        return None
    if family in {TCP4, TCP6}:
        size, kind = (4, socket.AF_INET) if family == TCP4 else (16, socket.AF_INET6)
        return str(ip_address(socket.inet_ntop(kind, header[16 : 16 + size])))
    assert family in {UNSPECIFIED, UNIX}
    return UNKNOWN


PROXY_HEADERS = Target(
    name="proxy-headers",
    check=check_header,
    seeds=(
        b"PROXY TCP4 203.0.113.7 10.0.0.1 5555 80\r\nGET / HTTP/1.1\r\n",
        b"PROXY TCP6 2001:db8::7 ::1 5555 80\r\n",
        b"PROXY UNKNOWN\r\n",
        over(TCP4, "203.0.113.7", field(0x20, b"\x01\x00\x00\x00\x00")) + b"\x16\x03\x01",
        checked(TCP6, "2001:db8::7", field(0x02, b"example.com")),
        block(UNIX, bytes(216)),
        block(UNSPECIFIED, b"", LOCAL),
    ),
    tokens=(
        b"PROXY ",
        b"TCP4 ",
        b"TCP6 ",
        b"UNKNOWN",
        b"\r\n",
        b" ",
        b"65535",
        b"::ffff:1.2.3.4",
        SIGNATURE,
        b"\x21\x11\x00\x0c",
    ),
    inputs=3000,
)
