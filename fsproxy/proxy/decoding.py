"""Decompressing capture bodies: bounded in memory, and off the event loop when it takes long."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec

from fsproxy.core.failures import Failure
from fsproxy.core.json.scanner import begin_of_json
from fsproxy.core.model import Encoding
from fsproxy.proxy.bodies import BodyError
from fsproxy.proxy.off_loop import run

if TYPE_CHECKING:
    from zlib import _Decompress as _Decompressor

    from fsproxy.proxy.flow import Flow

try:
    from isal import isal_zlib
except ImportError:
    QUICK: ModuleType = zlib
else:
    QUICK = isal_zlib
"""The extra ``isal`` where it is installed: it decompresses 20 KB in 40 us, zlib in 100. It reads the same, and bodies
whose codes do not use all their bits, which zlib refuses: they are validated like any other."""
LEVEL = 6 if QUICK is zlib else 1
"""The level at which bodies are compressed. That of isal makes them smaller, in an eighth of the time."""
GZIP = zlib.MAX_WBITS | 16
ON_LOOP = 256 * 1024
"""Bytes that are decompressed on the event loop (under a millisecond); what is larger goes to a thread."""
ON_LOOP_COMPRESSED = 64 * 1024
"""Bytes of a compressed body that goes to a thread at once; few are so large and hold less than ``ON_LOOP``."""

MAGIC = b"\x1f\x8b"
"""How gzip begins. No JSON begins like this."""
PLAIN = MAGIC + b"\x08\0"
"""How gzip begins when its header has no optional fields. All others are left to zlib: isal ignores reserved flags."""
STEP = 64 * 1024
"""Bytes of a compressed body that are decompressed at a time. Of a broken one, all that precedes the fault is read."""
MAX_MEMBERS = 64
"""Members of one gzip body that are read. Each copies what follows it, so a body of empty ones would cost hours."""


class UndecodableError(Exception):
    """Nothing in a capture body can be read: it is corrupt gzip, or of an encoding that we do not know."""


def encoding_of(flow: Flow) -> Encoding:
    """Return a body's encoding by its header, or by the query, as recorders do (wire.md 2). Both are one."""
    header = flow.headers.get(b"content-encoding")
    if header is not None and (coding := header.strip().lower()) not in {b"", b"identity"}:
        return Encoding.GZIP if coding in {b"gzip", b"x-gzip"} else Encoding.UNKNOWN
    return flow.upload.encoding


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """What can be read of a body."""

    text: bytes
    first: bytes | None = None
    """What the first gzip member holds, where others follow it: readers differ in whether they look at those."""
    layers: int = 0
    """How often it is compressed."""
    is_sound: bool = True
    """It is what its encoding says, and whole. Bytes behind gzip members, which many readers never see, may follow."""


async def decode(body: bytes, encoding: Encoding, limit: int) -> Decoded:
    """Return what any reader could take from a body. Its first bytes say whether it is gzip, whatever is announced.

    Raises UndecodableError where nothing in it could be JSON, and BodyError over ``limit`` bytes
    (``server.max_decompressed``).
    """
    if not body.startswith(MAGIC):
        if len(body) > limit:
            raise BodyError(Failure.BODY_TOO_LARGE)
        return Decoded(body) if encoding is Encoding.IDENTITY else await _plausible(Decoded(body, is_sound=False))
    if encoding is Encoding.GZIP and len(body) <= ON_LOOP_COMPRESSED:
        text = _small(body, min(ON_LOOP, limit))
        if text is not None and not text.startswith(MAGIC):
            return Decoded(text, layers=1)
    # From its beginning: joining what is decompressed already with the rest would hold other requests up for longer.
    decoded = await asyncio.to_thread(_whole, body, limit)
    return decoded if decoded.is_sound and encoding is Encoding.GZIP else await _plausible(decoded)


async def _plausible(decoded: Decoded) -> Decoded:
    """Return the same, not sound, with the text that begins and ends as an object does. Raises UndecodableError."""
    text = await run(len(decoded.text) > ON_LOOP, _object_of, decoded)
    return Decoded(text, layers=decoded.layers, is_sound=False)


def _object_of(decoded: Decoded) -> bytes:
    for text in (decoded.text, decoded.first or b""):
        if _is_object(text):
            return text
    raise UndecodableError


def _is_object(text: bytes) -> bool:
    """Return whether a text begins and ends as an object. Blanks are skipped in steps: other threads wait for each."""
    first, end = begin_of_json(text), len(text)
    if text[first : first + 1] != b"{":
        return False
    while not (last := text[max(first, end - STEP) : end].rstrip()):
        end -= STEP
    return last.endswith(b"}")


def _small(body: bytes, limit: int) -> bytes | None:
    """Return the text of one whole member with nothing behind it; None for all else, or over ``limit`` bytes."""
    library = QUICK if body.startswith(PLAIN) else zlib
    decoder = library.decompressobj(GZIP)
    try:
        text = decoder.decompress(body, limit)
    except library.error:
        return None
    return text if decoder.eof and not decoder.unused_data else None


def _whole(body: bytes, limit: int) -> Decoded:
    decoded = _members(body, limit)
    if not decoded.text.startswith(MAGIC):
        return decoded
    # A body that is announced by header and by query may have been compressed for each.
    inner = _members(decoded.text, limit)
    return Decoded(inner.text, inner.first, layers=2, is_sound=False)


def _members(body: bytes, limit: int) -> Decoded:
    """Read one gzip member after the other (RFC 1952 2.2), up to the first thing that is none."""
    parts: list[bytes] = []
    rest, room, is_sound = body, limit, True
    while rest:
        if len(parts) == MAX_MEMBERS:
            is_sound = False
            break
        text, behind = _member(rest, room)
        if behind is None:
            is_sound = bool(parts) and not text
            parts += [text] if text else []
            break
        parts.append(text)
        room -= len(text)
        rest = behind.lstrip(b"\0")
    first = parts[0] if len(parts) > 1 else None
    return Decoded(b"".join(parts), first, layers=1, is_sound=is_sound)


def _member(data: bytes, limit: int) -> tuple[bytes, bytes | None]:
    """Return the text of one member and what is behind it; None as the latter where the member is broken or cut.

    The text is then what a reader could have taken before it noticed.
    """
    decoder = zlib.decompressobj(GZIP)
    parts: list[bytes] = []
    size = 0
    for at in range(0, len(data), STEP):
        before = decoder.copy()
        step = data[at : at + STEP]
        try:
            part = decoder.decompress(step, limit + 1 - size)
        except zlib.error:
            return b"".join([*parts, *_up_to_the_fault(before, step, limit - size)]), None
        parts.append(part)
        size += len(part)
        if size > limit:
            raise BodyError(Failure.BODY_TOO_LARGE)
        if decoder.eof:
            return b"".join(parts), decoder.unused_data + data[at + STEP :]
    return b"".join(parts), None


def _up_to_the_fault(decoder: _Decompressor, data: bytes, limit: int) -> Iterator[bytes]:
    """Decompress byte by byte: zlib gives nothing out of a step in which it finds a fault."""
    try:
        for at in range(len(data)):
            part = decoder.decompress(data[at : at + 1], limit + 1)
            limit -= len(part)
            if limit < 0:
                raise BodyError(Failure.BODY_TOO_LARGE)
            yield part
    except zlib.error:
        return


def encode(body: bytes, layers: int) -> bytes:
    """Compress a body ``layers`` times, as it came."""
    for _ in range(layers):
        body = QUICK.compress(body, LEVEL, GZIP)
    return body
