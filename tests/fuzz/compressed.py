"""Compressed uploads: read as the standard library reads them, bounded, and compressed again as they came."""

from __future__ import annotations

import asyncio
import gzip
import zlib

from fsproxy.core.model import Encoding, Route
from fsproxy.proxy.bodies import BodyError
from fsproxy.proxy.decoding import GZIP as GZIP_FORM
from fsproxy.proxy.decoding import MAGIC, UndecodableError, decode, encode
from fuzz.bundles import SAMPLES, checked
from fuzz.harness import Target

LIMIT = 32 * 1024
"""Bytes that a body may have, decompressed."""


def check_gzip(data: bytes) -> None:
    """What is decompressed is what the standard library decompresses, bounded; and goes back the same."""
    try:
        decoded = asyncio.run(decode(data, Encoding.GZIP, LIMIT))
    except UndecodableError:
        _is_corrupt(data)
        return
    except BodyError:
        return
    body = decoded.text
    assert len(body) <= LIMIT
    if decoded.is_sound:
        assert _first_members(data) == body
    left = checked(Route.BUNDLE, body)
    if not left.startswith(MAGIC):
        assert asyncio.run(decode(encode(left, 1), Encoding.GZIP, 2 * LIMIT)).text == left


def _first_members(data: bytes) -> bytes:
    """What a plain loop over the members finds before bytes that are none."""
    text, rest = b"", data
    while rest:
        decoder = zlib.decompressobj(GZIP_FORM)
        try:
            text += decoder.decompress(rest)
        except zlib.error:
            break
        if not decoder.eof:
            break
        rest = decoder.unused_data.lstrip(b"\0")
    return text


def _is_corrupt(data: bytes) -> None:
    """Nothing in it is what an object looks like; ``gzip`` itself also takes reserved flags, which RFC 1952 forbids."""
    text = _first_members(data).strip()
    assert not (text.startswith(b"{") and text.endswith(b"}")), "readable, but refused"


GZIP = Target(
    "gzip",
    check_gzip,
    seeds=(
        *(gzip.compress(each, mtime=0) for each in SAMPLES[:3]),
        gzip.compress(SAMPLES[1][:40], mtime=0) + gzip.compress(SAMPLES[1][40:], mtime=0) + b"\0\0",
        gzip.compress(b" " * (2 * LIMIT), mtime=0),
        gzip.compress(SAMPLES[2], 0, mtime=0),
    ),
    tokens=(b"\x1f\x8b\x08\0", b"\x1f\x8b\x08\x04", b"\0\0\0\0", b"\xff\xff", gzip.compress(b"", mtime=0), b"{", b"}"),
    inputs=400,
)
