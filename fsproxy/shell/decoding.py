"""Decompressing capture bodies: bounded in memory, and off the event loop when it takes long."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

from fsproxy.core.failures import Failure
from fsproxy.core.model import Encoding
from fsproxy.shell.bodies import BodyError

if TYPE_CHECKING:
    from fsproxy.shell.transaction import Transaction

GZIP = zlib.MAX_WBITS | 16
ON_LOOP = 256 * 1024
"""Bytes that are decompressed on the event loop (under a millisecond); what is larger goes to a thread."""
ON_LOOP_COMPRESSED = 64 * 1024
"""Bytes of a compressed body that goes to a thread at once; few are so large and hold less than ``ON_LOOP``."""

MAX_MEMBERS = 64
"""Of one gzip body. Each copies what follows it, so that a body of nothing but empty ones would cost hours."""


class Undecodable(Exception):  # noqa: N818 - a state of a body; ``on_uninspectable`` says what follows
    """A capture body that is not what it says to be: corrupt gzip, an encoding we do not know."""


def encoding_of(tx: Transaction) -> Encoding:
    """By header, or as recorders do by the query alone (wire.md 2). Announced twice is compressed once."""
    header = tx.headers.get(b"content-encoding", b"").strip().lower()
    if header not in {b"", b"identity"}:
        return Encoding.GZIP if header in {b"gzip", b"x-gzip"} else Encoding.UNKNOWN
    return tx.read_query().encoding


async def decode(body: bytes, encoding: Encoding, limit: int) -> bytes:
    """The body, decompressed. Raises Undecodable, and BodyError over ``limit`` (``server.max_decompressed``)."""
    if encoding is Encoding.IDENTITY:
        if len(body) > limit:
            raise BodyError(Failure.BODY_TOO_LARGE)
        return body
    if encoding is Encoding.UNKNOWN:
        raise Undecodable
    try:
        if len(body) <= ON_LOOP_COMPRESSED:
            decoder = zlib.decompressobj(GZIP)
            first = decoder.decompress(body, min(ON_LOOP, limit + 1))
            if decoder.eof and not decoder.unused_data and len(first) <= limit:
                return first
        # From its beginning: joining what is here with the rest would hold everyone for longer.
        return await asyncio.to_thread(_whole, body, limit)
    except zlib.error:
        raise Undecodable from None


def _whole(body: bytes, limit: int) -> bytes:
    decoder = zlib.decompressobj(GZIP)
    parts, members = [decoder.decompress(body, limit + 1)], 1
    size = len(parts[0])
    while True:
        if size > limit:
            raise BodyError(Failure.BODY_TOO_LARGE)
        if decoder.eof:
            # RFC 1952 2.2: members may follow one another.
            rest = decoder.unused_data.lstrip(b"\0")
            if not rest:
                return b"".join(parts) if len(parts) > 1 else parts[0]
            members += 1
            if members > MAX_MEMBERS:
                raise Undecodable
            decoder = zlib.decompressobj(GZIP)
            part = decoder.decompress(rest, limit + 1 - size)
        elif decoder.unconsumed_tail:
            part = decoder.decompress(decoder.unconsumed_tail, limit + 1 - size)
        else:
            raise Undecodable
        parts.append(part)
        size += len(part)


def encode(body: bytes, encoding: Encoding) -> bytes:
    """Compressed as it came."""
    return zlib.compress(body, level=6, wbits=GZIP) if encoding is Encoding.GZIP else body
