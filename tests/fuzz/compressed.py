"""Compressed uploads: read as the standard library reads them, bounded, and compressed again as they came."""

from __future__ import annotations

import asyncio
import gzip
import zlib

from fsproxy.core.model import Encoding, Route
from fsproxy.shell.bodies import BodyError
from fsproxy.shell.decoding import GZIP as GZIP_FORM
from fsproxy.shell.decoding import MAX_MEMBERS, Undecodable, decode, encode
from fuzz.bundles import SAMPLES, checked
from fuzz.harness import Target

LIMIT = 32 * 1024
"""Bytes that a body may have, decompressed."""


def check_gzip(data: bytes) -> None:
    """What is decompressed is what the standard library decompresses, bounded; and goes back the same."""
    try:
        body = asyncio.run(decode(data, Encoding.GZIP, LIMIT))
    except Undecodable:
        _is_corrupt(data)
        return
    except BodyError:
        return
    assert len(body) <= LIMIT
    assert gzip.decompress(data) == body
    left = checked(Route.BUNDLE, body)
    assert asyncio.run(decode(encode(left, Encoding.GZIP), Encoding.GZIP, 2 * LIMIT)) == left


def _is_corrupt(data: bytes) -> None:
    """A plain loop over the members agrees; ``gzip`` itself also takes reserved flags, which RFC 1952 forbids."""
    rest, members = data, 0
    while rest and members <= MAX_MEMBERS:
        decoder = zlib.decompressobj(GZIP_FORM)
        try:
            decoder.decompress(rest)
        except zlib.error:
            return
        if not decoder.eof:
            return
        rest, members = decoder.unused_data.lstrip(b"\0"), members + 1
    assert members > MAX_MEMBERS or not data, "readable, but refused"


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
