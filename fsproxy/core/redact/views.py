r"""Other forms of a text, in which escapes are decoded: ``ann%40example.com`` and ``ann\u0040example.com``.

A form knows for each of its characters where that is in the text itself, so that what is found in it can be masked
there. Decoding is repeated, because a URL may hold another URL, and a string JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from fsproxy.core.json.surrogates import TO_STAND_INS

PART = 128 * 1024
"""Bytes of a body that are searched in one step, for which other threads wait: about half a millisecond."""
MOST_FORMS = 4
"""How often a text is decoded. Each time costs as much as the text is long."""

_JSON = (
    rb"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|"
    rb'(["\\/bfnrt]))'
)
_json_escapes = re.compile(_JSON).sub
_escapes = re.compile(_JSON + rb"|((?:%[0-9a-fA-F]{2})+)")
_escapes_of_text = re.compile(_escapes.pattern.decode())
_percent = re.compile(rb"%[0-9a-fA-F]{2}").search
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

Starts = list[int]
"""Where each character of a form begins in the text, and last where the text ends."""


def forms(text: str) -> Iterator[tuple[str, Starts | None]]:
    """Yield the text and its decoded forms; None: the characters are where they are in the text."""
    yield text, None
    starts: Starts | None = None
    for _ in range(MOST_FORMS):
        found = _decoded(text) if "\\" in text or "%" in text else None
        if found is None:
            return
        text, own = found
        starts = own if starts is None else [starts[each] for each in own]
        yield text, starts


def _decoded(text: str) -> tuple[str, Starts] | None:
    """Return the text with its escapes decoded once; None if it has none."""
    parts: list[str] = []
    starts: Starts = []
    at = 0
    for escape in _escapes_of_text.finditer(text):
        begin, end = escape.span()
        parts.append(text[at:begin])
        starts.extend(range(at, begin))
        *one, percents = escape.groups()
        for character, place in ((_character(*one), 0),) if percents is None else _of_percents(percents):
            parts.append(character)
            starts.append(begin + place)
        at = end
    if not at:
        return None
    parts.append(text[at:])
    starts.extend(range(at, len(text) + 1))
    return "".join(parts), starts


def _character(lead: str | None, trail: str | None, code: str | None, letter: str | None) -> str:
    if letter is not None:
        return _SHORT.get(letter, letter)
    if lead is not None and trail is not None:
        return chr(0x10000 + (int(lead, 16) - 0xD800) * 0x400 + int(trail, 16) - 0xDC00)
    number = int(code or "", 16)
    return chr(TO_STAND_INS.get(number, number))


def _of_percents(percents: str) -> Iterator[tuple[str, int]]:
    """Yield the characters that are percent-encoded in UTF-8, each with its place. Other bytes become U+FFFD."""
    data = bytes.fromhex(percents.replace("%", ""))
    at = 0
    while at < len(data):
        size = 1 if data[at] < 0xC0 else 2 if data[at] < 0xE0 else 3 if data[at] < 0xF0 else 4
        character = data[at : at + size].decode("utf-8", "replace")
        if len(character) > 1 or character == "\ufffd":
            size, character = 1, "\ufffd"
        yield character, 3 * at
        at += size


def parts(data: bytes) -> Iterator[bytes]:
    """Yield JSON in parts of about ``PART`` bytes. No string is cut in two, apart from its quotes."""
    at, size = 0, len(data)
    while at < size:
        end = data.find(_BEHIND_QUOTE, at + PART)
        while end > 0 and data[end - 1] == _BACKSLASH:  # the quote may be a part of a string
            end = data.find(_BEHIND_QUOTE, end + 1)
        end = size if end < 0 else end + 1
        yield data[at:end]
        at = end


_BEHIND_QUOTE, _BACKSLASH = b'",', 0x5C


def decoded_bytes(data: bytes) -> bytes | None:
    """Return bytes in which all escapes are decoded once, as ``forms`` decodes them; None if there are none."""
    escaped, percent = b"\\" in data, b"%" in data and _percent(data) is not None
    if escaped and percent:
        found = _readable(_escapes.sub(_bytes_of, data))
    elif escaped:
        found = unescaped_json(data)
    elif percent:
        found = _readable(unquote_to_bytes(data))
    else:
        return None
    return found if found != data else None


def _readable(data: bytes) -> bytes:
    """Return bytes with U+FFFD for what is no UTF-8, which no pattern would match."""
    return data.decode("utf-8", "replace").encode()


def unescaped_json(data: bytes) -> bytes:
    """Return the bytes of a JSON text with the escapes in its strings decoded.

    What is in a string is in these bytes as well, so that one search in them can tell that no string has a match.
    """
    if b"\\" not in data:
        return data
    # Nearly all escapes are those of quotes and of backslashes, which are replaced without a step for each. Two zero
    # bytes stand for an escaped backslash meanwhile, so that every other backslash begins an escape.
    if b"\0" not in data:
        quickly = data.replace(b"\\\\", b"\0\0").replace(b'\\"', b'"')
        if b"\\" not in quickly:
            return quickly.replace(b"\0\0", b"\\")
    return _json_escapes(_bytes_of, data)


def _bytes_of(escape: re.Match[bytes]) -> bytes:
    groups = escape.groups()
    if len(groups) > 4 and groups[4] is not None:
        return unquote_to_bytes(groups[4])
    lead, trail, code, letter = (None if each is None else each.decode() for each in groups[:4])
    return _character(lead, trail, code, letter).encode()
