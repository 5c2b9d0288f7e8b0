r"""Unpaired surrogates: half of a character, as a site writes that cuts a text in the middle of an emoji (rules.md 2).

``JSON.stringify`` writes them as ``\ud83d``, which is valid JSON but no character that UTF-8 has. Each is read as a
character of its own out of a private area of Unicode: one character, three bytes, and different from every other half.
What is forwarded keeps the bytes that came.
"""

from __future__ import annotations

import json
import re

import msgspec

_HEX = "[0-9a-fA-F]"
# A double backslash is marked first, so that every other backslash begins an escape.
_DOUBLE, _MARK = "\\\\", "\0\0"
_UNPAIRED = re.compile(
    rf"\\u[dD](?:([89abAB]{_HEX}{{2}})(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]{_HEX}{{2}}\\u[dD])([c-fC-F]{_HEX}{{2}}))"
)
_STAND_IN = r"\\ue\1\2"
_RAW = re.compile("[\ud800-\udfff]")
_TO_STAND_INS = {half: half + 0x1000 for half in range(0xD800, 0xE000)}
_SHOWN = dict.fromkeys(_TO_STAND_INS.values(), 65533)
_encode = msgspec.json.Encoder().encode
_decode_text = msgspec.json.Decoder(str).decode


def with_stand_ins(text: str) -> str:
    """Return the JSON text with a character instead of each unpaired surrogate; every place in it stays the same."""
    if not text.isascii():
        text = text.translate(_TO_STAND_INS) if _RAW.search(text) is not None else text
    if "\\u" not in text or "\0" in text:  # a zero byte is not JSON
        return text
    return _UNPAIRED.sub(_STAND_IN, text.replace(_DOUBLE, _MARK)).replace(_MARK, _DOUBLE)


def shown_halves(name: str) -> str:
    """Return a name as it may be echoed, where no half can stand: with U+FFFD in the place of each."""
    return name if name.isascii() else name.translate(_SHOWN)


def read_string(raw: bytes) -> str:
    """Read a JSON string with its quotes, halves included. Raises ValueError for what is none."""
    try:
        return _decode_text(raw)
    except ValueError:
        text = json.loads(raw.decode())
        if type(text) is not str:
            raise
        return text


def write_string(text: str) -> bytes:
    """Write a JSON string as ``JSON.stringify`` does: halves as escapes."""
    try:
        return _encode(text)
    except UnicodeEncodeError:
        written = json.dumps(text, ensure_ascii=False)
        return _RAW.sub(lambda half: f"\\u{ord(half[0]):04x}", written).encode()
