"""Every path that an upstream could understand when it is sent one path (rules.md 4).

Servers differ in what they do before they look a path up. Some split it at its slashes and then decode the segments,
others decode first, and two servers in a row decode twice. They fold slashes, drop parameters, or ignore case. A path
that any of them could take for a capture route must be handled as that route, or it would bypass the rules.

So a path is put through every combination: decoded zero to two times in either order, cut where a path ends for a
server that decodes before it cuts, its parameters and blanks dropped, its dot segments removed in both known ways. Each
step only adds to a set of texts, which stays small; what comes out is looked up in the table of routes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

MOST_DECODINGS = 2
"""One by a server, and one by another in front of it."""
_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+")
"""Paths that every server understands alike, but for the case: no escapes, parameters, dot or empty segments."""
_BLANKS = " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0+"
"""With the plus sign, which decoders of forms take for a blank."""
_DRESSED = re.compile(f"[;{_BLANKS}]")
_END = re.compile(r"[?#\0]")
"""The end of a path for a server that decodes a target before it cuts off the query."""
_SEPARATOR = re.compile(r"%(2[fF]|5[cC]|3[bBfF]|23|00)")
"""Escaped separators. A server that splits a path before it decodes the segments takes them for data."""


def spellings(path: str) -> list[str]:
    """Return the paths that ``path`` could mean, without duplicates, in lower case and in their simplest form.

    A path with only one meaning takes one regular expression.
    """
    if _PLAIN.fullmatch(path) is not None:
        return [path.lower()]
    texts, newest = {path: None}, [path]
    for _ in range(MOST_DECODINGS):
        decoded = [decode(text) for text in newest for decode in (_within_segments, _whole)]
        newest = [text for text in dict.fromkeys(decoded) if text not in texts]
        texts |= dict.fromkeys(newest)
    return list(dict.fromkeys(reading for text in texts for reading in _readings(text)))


def _whole(text: str) -> str:
    if "%" not in text:
        return text
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _within_segments(text: str) -> str:
    # An escaped separator is escaped once more, so that decoding leaves it as it is.
    if "%" not in _SEPARATOR.sub("", text):
        return text
    return _whole(_SEPARATOR.sub(r"%25\1", text))


def _readings(text: str) -> Iterator[str]:
    yield from _folded(text)
    end = _END.search(text)
    if end is not None:
        yield from _folded(text[: end.start()])


def _folded(text: str) -> Iterator[str]:
    segments = text.replace("\\", "/").casefold().split("/")
    if _DRESSED.search(text) is not None:
        segments = [segment.partition(";")[0].strip(_BLANKS) for segment in segments]
    yield from _without_dots(segments)
    if len(segments) > 3 and segments[0] == segments[1] == "":
        # A reader of URLs takes what follows two slashes for a host.
        host = next((at for at, segment in enumerate(segments) if segment), len(segments))
        yield from _without_dots(segments[host + 1 :])


def _without_dots(segments: list[str]) -> Iterator[str]:
    there = [segment for segment in segments if segment not in {"", "."}]
    if ".." not in there:
        yield "/" + "/".join(there)
        return
    yield _joined(there)
    if "" in segments[1:]:
        # By RFC 3986 5.2.4, ".." removes the segment before it even if that is empty.
        yield _joined([segment for segment in segments if segment != "."])


def _joined(segments: list[str]) -> str:
    kept: list[str] = []
    for segment in segments:
        if segment != "..":
            kept.append(segment)
        elif kept:
            kept.pop()
    return "/" + "/".join(filter(None, kept))
