"""PROXY headers of both versions, however they are cut, and all that only looks like one."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.wire.client_address import UNKNOWN
from fsproxy.core.wire.proxy_header import (
    LONGEST,
    LONGEST_LINE,
    HeaderFault,
    ProxyHeader,
    ProxyHeaderError,
    begins_like_header,
    crc32c,
    read_proxy_header,
)
from support.proxy_headers import CHECKSUM, LOCAL, SIGNATURE, TCP4, TCP6, UNIX, UNSPECIFIED, block, checked, field, over

BEHIND = [b"", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"PROXY UNKNOWN\r\n", SIGNATURE]
# Python 3.13 writes it in another way than those before. Whoever reads it takes the IPv4 address.
MAPPED = str(IPv6Address("::ffff:203.0.113.7"))
LONGEST_V6 = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
UDP4, UNIX_DATAGRAM = 0x12, 0x32


def checked_twice() -> bytes:
    """A header with two checksums, each of which is right beside the other one.

    What is wrong with a pair depends on its bits by exclusive or alone, so the pair that is right is found bit by bit.
    """

    def header(pair: int) -> bytes:
        values = pair.to_bytes(8)
        return over(TCP4, "203.0.113.7", field(CHECKSUM, values[:4]) + field(CHECKSUM, values[4:]))

    def fault(pair: int) -> int:
        return (crc32c(header(pair & 0xFFFFFFFF)) << 32 | crc32c(header(pair >> 32 << 32))) ^ pair

    effects = list[tuple[int, int]]()
    left, right = fault(0), 0
    for bit in range(64):
        effect, bits = fault(1 << bit) ^ fault(0), 1 << bit
        for other, of in effects:
            if effect ^ other < effect:
                effect, bits = effect ^ other, bits ^ of
        effects.append((effect, bits))
    for effect, bits in effects:
        if left ^ effect < left:
            left, right = left ^ effect, right ^ bits
    assert fault(right) == 0
    return header(right)


LINES = {
    b"PROXY TCP4 203.0.113.7 10.0.0.1 5555 80\r\n": "203.0.113.7",
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": "255.255.255.255",
    b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n": "0.0.0.0",
    b"PROXY TCP6 2001:db8::7 ::1 5555 80\r\n": "2001:db8::7",
    b"PROXY TCP6 2001:0DB8:0:0:0:0:0:7 ::1 5555 80\r\n": "2001:db8::7",
    b"PROXY TCP6 ::ffff:203.0.113.7 ::ffff:10.0.0.1 5555 80\r\n": MAPPED,
    f"PROXY TCP6 {LONGEST_V6} {LONGEST_V6} 65535 65535\r\n".encode(): LONGEST_V6,
    b"PROXY UNKNOWN\r\n": UNKNOWN,
    b"PROXY UNKNOWN 203.0.113.7 whatever \xff\r\n": UNKNOWN,
    b"PROXY UNKNOWN " + b"x" * (LONGEST_LINE - 16) + b"\r\n": UNKNOWN,
}
BLOCKS = {
    over(TCP4, "203.0.113.7"): "203.0.113.7",
    over(
        TCP4, "203.0.113.7", field(0x02, b"example.com") + field(0xEA, b"\x01vpce-1") + field(0x04, b"")
    ): "203.0.113.7",
    over(TCP4, "203.0.113.7", field(0x04, bytes(LONGEST - 16 - 12 - 3))): "203.0.113.7",
    checked(TCP4, "203.0.113.7", field(0x02, b"example.com")): "203.0.113.7",
    over(TCP6, "2001:db8::7"): "2001:db8::7",
    over(TCP6, "::ffff:203.0.113.7"): MAPPED,
    block(UNIX, bytes(216)): UNKNOWN,
    block(UNSPECIFIED, b""): UNKNOWN,
    block(UNSPECIFIED, b"anything"): UNKNOWN,
    block(UNSPECIFIED, b"", LOCAL): None,
    block(TCP4, b"too short, and ignored", LOCAL): None,
    block(0xFF, b"\x03", LOCAL): None,
}
MALFORMED = [
    b"PROXY TCP4 203.0.113.7 10.0.0.1 5555 80\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 5555 80\r\r\n",
    b"PROXY  TCP4 203.0.113.7 10.0.0.1 5555 80\r\n",
    b"PROXY TCP4 203.0.113.7  10.0.0.1 5555 80\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 5555 80 \r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 5555\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 5555 80 1\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 65536 80\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 5555 65536\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 05 80\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 -1 80\r\n",
    b"PROXY TCP4 203.0.113.07 10.0.0.1 5555 80\r\n",
    b"PROXY TCP4 203.0.113 10.0.0.1 5555 80\r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.256 5555 80\r\n",
    b"PROXY TCP4 2001:db8::7 ::1 5555 80\r\n",
    b"PROXY TCP6 203.0.113.7 10.0.0.1 5555 80\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 5555 80\r\n",
    b"PROXY TCP5 203.0.113.7 10.0.0.1 5555 80\r\n",
    b"PROXY UDP4 203.0.113.7 10.0.0.1 5555 80\r\n",
    b"PROXY tcp4 203.0.113.7 10.0.0.1 5555 80\r\n",
    b"PROXY UNKNOWNS\r\n",
    b"PROXY UNKNOWN a\rb\r\n",
    b"PROXY \r\n",
    b"PROXY TCP4 203.0.113.7 10.0.0.1 5555 80 " + b"x" * 100,
    b"PROXY UNKNOWN " + b"x" * (LONGEST_LINE - 15) + b"\r\n",
    b"PROXY UNKNOWN " + b"x" * (LONGEST_LINE - 14),
    b"PROXY /rec/page HTTP/1.1\r\n",
    SIGNATURE + b"\x11\x11\x00\x00",
    SIGNATURE + b"\x31\x11\x00\x00",
    SIGNATURE + b"\x22\x11\x00\x00",
    SIGNATURE + b"\x2f\x11\x00\x00",
    SIGNATURE + b"\x21\x11" + struct.pack("!H", LONGEST - 15),
    SIGNATURE + b"\x20\x00\xff\xff",
    block(UDP4, bytes(12)),
    block(UNIX_DATAGRAM, bytes(216)),
    block(0x10, bytes(12)),
    block(0x41, bytes(12)),
    block(TCP4, bytes(11)),
    block(TCP6, bytes(35)),
    block(UNIX, bytes(215)),
    over(TCP4, "203.0.113.7", b"\x04"),
    over(TCP4, "203.0.113.7", b"\x04\x00"),
    over(TCP4, "203.0.113.7", b"\x04\x00\x02x"),
    over(TCP4, "203.0.113.7", field(CHECKSUM, bytes(4))),
    over(TCP4, "203.0.113.7", field(CHECKSUM, b"")),
    checked_twice(),
    checked(TCP4, "203.0.113.7").replace(socket.inet_aton("203.0.113.7"), socket.inet_aton("203.0.113.8")),
]  # fmt: skip
MISSING = [
    b"GET / HTTP/1.1\r\n",
    b"POST /rec/page HTTP/1.1\r\n",
    b"PROXY\t",
    b"PROXYTCP4",
    b"proxy TCP4 203.0.113.7 10.0.0.1 5555 80\r\n",
    b" PROXY TCP4 203.0.113.7 10.0.0.1 5555 80\r\n",
    b"\r\nPROXY TCP4 203.0.113.7 10.0.0.1 5555 80\r\n",
    b"\r\n\r\n\r\nGET",
    SIGNATURE[:-1] + b"\r",
    b"\x16\x03\x01\x02\x00",
    b"\x00",
]


def test_the_limits_are_those_of_the_documents() -> None:
    assert (LONGEST, LONGEST_LINE) == (16 * 1024, 107)


def test_the_words_for_faults_are_labels_of_a_metric_and_stay() -> None:
    assert [each.value for each in HeaderFault] == ["untrusted", "missing", "malformed", "incomplete", "unexpected"]
    assert str(ProxyHeaderError(HeaderFault.MISSING)) == "missing"


def fault_of(data: bytes) -> HeaderFault | None:
    try:
        read_proxy_header(data)
    except ProxyHeaderError as error:
        return error.fault
    return None


@pytest.mark.parametrize("header", LINES | BLOCKS)
def test_a_header_is_known_at_its_last_byte_and_not_before(header: bytes) -> None:
    whole = ProxyHeader(len(header), (LINES | BLOCKS)[header])
    for behind in BEHIND:
        assert read_proxy_header(header + behind) == whole
    for length in range(len(header)):
        assert read_proxy_header(header[:length]) is None


@pytest.mark.parametrize("data", MALFORMED)
def test_what_breaks_the_format_is_refused_and_never_completed(data: bytes) -> None:
    assert fault_of(data) is HeaderFault.MALFORMED
    for length in range(len(data)):
        assert fault_of(data[:length]) in {None, HeaderFault.MALFORMED}
        assert fault_of(data[:length]) or read_proxy_header(data[:length]) is None


def test_a_beginning_is_meant_as_a_header_or_not() -> None:
    assert [data for data in (*LINES, *BLOCKS, *MALFORMED) if not begins_like_header(data)] == []
    assert [data for data in (*MISSING, b"", b"PROXY", SIGNATURE[:-1]) if begins_like_header(data)] == []


@pytest.mark.parametrize("data", MISSING)
def test_what_does_not_begin_like_a_header_is_none_at_all(data: bytes) -> None:
    assert fault_of(data) is HeaderFault.MISSING


@pytest.mark.parametrize(
    ("flags", "secure"), [(b"\x01", True), (b"\x07", True), (b"\x06", False), (b"\x00", False), (b"", False)]
)
def test_a_balancer_says_whether_its_client_speaks_tls(flags: bytes, *, secure: bool) -> None:
    # Behind a field whose length takes two bytes.
    fields = field(0x02, b"\xff" * 300) + field(0x20, flags + (bytes(4) if flags else b""))
    header = over(TCP4, "203.0.113.7", fields)
    assert read_proxy_header(header) == ProxyHeader(len(header), "203.0.113.7", over_tls=secure)


def test_the_checksum_is_the_one_of_its_specification() -> None:
    # RFC 3720 B.4
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


@given(st.sampled_from([*LINES, *BLOCKS, *MALFORMED]), st.data())
@settings(max_examples=150)
def test_whatever_is_changed_in_a_header_it_is_read_or_refused(start: bytes, data: st.DataObject) -> None:
    start = start[:300]
    at = data.draw(st.integers(0, len(start)))
    changed = start[:at] + data.draw(st.binary(max_size=6)) + start[at + data.draw(st.integers(0, 4)) :]
    try:
        header = read_proxy_header(changed)
    except ProxyHeaderError:
        return
    if header is None:
        assert len(changed) < LONGEST
        return
    assert read_proxy_header(changed[: header.length]) == header
    assert read_proxy_header(changed[: header.length - 1]) is None
