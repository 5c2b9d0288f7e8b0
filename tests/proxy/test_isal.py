"""The two libraries that decompress small bodies, of which the installed one does: isal against zlib."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.proxy import decoding
from fsproxy.proxy.decoding import ON_LOOP
from fsproxy.proxy.decoding import _small as small

isal_zlib = pytest.importorskip("isal.isal_zlib")

NOT_FULL = ("invalid literal/lengths set", "invalid distances set", "invalid code lengths set")
"""What zlib says of codes that do not use all their bits. isal reads such a body, and it is judged like any other."""


@st.composite
def _changed_bodies(draw: st.DrawFn) -> bytes:
    """Gzip of any settings, then cut, changed, continued, or changed with a checksum that fits."""
    text = draw(st.binary(max_size=300) | st.text('ab{}:", ', max_size=300).map(str.encode)) * draw(st.integers(1, 20))
    writer = zlib.compressobj(
        draw(st.sampled_from((0, 1, 6, 9))),
        wbits=31,
        memLevel=draw(st.integers(1, 9)),
        strategy=draw(st.integers(0, 4)),
    )
    at = draw(st.integers(0, len(text)))
    body = writer.compress(text[:at]) + writer.flush(draw(st.sampled_from((zlib.Z_NO_FLUSH, zlib.Z_FULL_FLUSH))))
    body += writer.compress(text[at:]) + writer.flush()
    change = draw(st.sampled_from(("none", "cut", "behind", "changed", "checked")))
    if change == "cut":
        return body[: draw(st.integers(0, len(body)))]
    if change == "behind":
        return body + draw(st.binary(min_size=1, max_size=20) | st.just(body))
    if change == "none":
        return body
    changed = bytearray(body)
    for _ in range(draw(st.integers(1, 3))):
        changed[draw(st.integers(2, min(60, len(body) - 1)) | st.integers(2, len(body) - 1))] ^= draw(
            st.integers(1, 255)
        )
    return bytes(changed) if change == "changed" else _with_its_checksum(bytes(changed))


def _with_its_checksum(body: bytes) -> bytes:
    """The same with the trailer that belongs to what isal reads in it, where that is anything."""
    reader = isal_zlib.decompressobj(-15)
    try:
        text = reader.decompress(body[10:], 1_000_000)
    except isal_zlib.error:
        return body
    end = len(body) - len(reader.unused_data)
    return body[:end] + struct.pack("<II", zlib.crc32(text), len(text)) if reader.eof else body


@settings(max_examples=500)
@given(_changed_bodies(), st.integers(1, 7000) | st.just(ON_LOOP))
def test_isal_reads_what_zlib_reads_within_the_same_limits(body: bytes, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "QUICK", isal_zlib)
        by_isal = small(body, limit)
        patch.setattr(decoding, "QUICK", zlib)
        by_zlib = small(body, limit)
    assert by_isal == by_zlib or (by_zlib is None and _fault(body).endswith(NOT_FULL))


def _fault(body: bytes) -> str:
    with pytest.raises(zlib.error) as error:
        zlib.decompress(body, 31)
    return str(error.value)


def test_codes_that_are_not_full_are_read_by_isal_alone() -> None:
    """RFC 1951 leaves them open; no writer makes them."""
    body = bytes.fromhex("1f8b0800000000000203edc13101000000c2a0dac65f8d0f600000000000000000")
    assert _fault(body).endswith(NOT_FULL)
    assert small(body, ON_LOOP) is not None
