r"""Reads and writes unpaired surrogates: a site writes half a character if it cuts a text inside an emoji (rules.md 2).

``JSON.stringify`` writes such a half as ``\ud83d``. That is valid JSON, but UTF-8 has no bytes for it. So each half is
read as a stand-in out of a private area of Unicode, which is one character and three bytes as well, and different
for every half. What is forwarded keeps the bytes that came.
"""

from __future__ import annotations

import json
import re

import msgspec

_HEX = "[0-9a-fA-F]"
# An escaped backslash is replaced by two zero bytes first, so that every remaining backslash begins an escape.
_DOUBLE, _MARK = "\\\\", "\0\0"
_UNPAIRED = re.compile(
    rf"\\u[dD](?:([89abAB]{_HEX}{{2}})(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]{_HEX}{{2}}\\u[dD])([c-fC-F]{_HEX}{{2}}))"
)
_STAND_IN = r"\\ue\1\2"
_RAW = re.compile("[\ud800-\udfff]")
TO_STAND_INS = {half: half + 0x1000 for half in range(0xD800, 0xE000)}
_SHOWN = dict.fromkeys(TO_STAND_INS.values(), 65533)
_CUT_SHORT = re.compile(rb"\xfe\xfe[dD](?![0-9a-fA-F]{3})")
_COVERS = ((rb"\\", b"\xff\xff"), (rb"\ud", b"\xfe\xfed"), (rb"\uD", b"\xfe\xfeD"))
_encode = msgspec.json.Encoder().encode
_decode_text = msgspec.json.Decoder(str).decode


def with_stand_ins(text: str) -> str:
    """Return the JSON text with a stand-in for each unpaired surrogate. All places in it stay the same."""
    text = encodable(text)
    if "\\u" not in text or "\0" in text:  # a zero byte is no JSON, so the reader refuses the text as it is
        return text
    return _UNPAIRED.sub(_STAND_IN, text.replace(_DOUBLE, _MARK)).replace(_MARK, _DOUBLE)


def encodable(text: str) -> str:
    """Return the text with a stand-in for each half of a character, so that it has UTF-8. All places stay the same."""
    return text if text.isascii() or _RAW.search(text) is None else text.translate(TO_STAND_INS)


def shown_halves(name: str) -> str:
    """Return a name as it may be echoed, with U+FFFD for each stand-in."""
    return name if name.isascii() else name.translate(_SHOWN)


def read_string(raw: bytes) -> str:
    """Return the text of a JSON string with its quotes. It may hold halves. Raise ValueError if it is no string."""
    try:
        return _decode_text(raw)
    except ValueError:
        text = json.loads(raw.decode())
        if type(text) is not str:
            raise
        return text


def write_string(text: str) -> bytes:
    """Return a text as a JSON string, with halves as escapes, as ``JSON.stringify`` writes them."""
    try:
        return _encode(text)
    except UnicodeEncodeError:
        written = json.dumps(text, ensure_ascii=False)
        return _RAW.sub(lambda half: f"\\u{ord(half[0]):04x}", written).encode()


def without_halves(text: str) -> str:
    """Return the text with U+FFFD in the place of each half."""
    return _RAW.sub("\ufffd", text)


def covered(body: bytes) -> bytes:
    """Return JSON bytes in which no escape of a surrogate is left, so that a strict reader does not refuse them all.

    The escapes are replaced by bytes that are not UTF-8, of the same length. Escaped backslashes are replaced first, so
    that every backslash that is left begins an escape. This is for large bodies of which only a few strings are read,
    by a reader that does not check the bytes of the others: all of it runs in C code. ``uncovered`` undoes it. Raise
    ValueError for such an escape without all its digits, which no reader of JSON takes.
    """
    for escape, cover in _COVERS:
        body = body.replace(escape, cover)
    if _CUT_SHORT.search(body):
        raise ValueError
    return body


def uncovered(body: bytes) -> bytes:
    """Return the bytes that ``covered`` was given."""
    for escape, cover in _COVERS:
        body = body.replace(cover, escape)
    return body
