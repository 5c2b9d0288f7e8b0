"""Every path that a backend could take for the one that it is sent (rules.md 4).

Servers differ in what they do before they look a path up: some split it at its slashes and decode the segments, some
decode first, some twice, as one of them stands behind another; they fold slashes, drop parameters, or compare without
case. A path that any of them could take for a capture route's is judged as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

MOST_DECODINGS = 2
"""A server's own, and that of one in front of it."""
_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+")
_BLANKS = " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0+"
"""Also the plus sign, which decoders of forms take for a blank."""
_DRESSED = re.compile(f"[;{_BLANKS}]")
_END = re.compile(r"[?#\0]")
"""Where a path ends for who decodes it before it is cut."""
_SEPARATOR = re.compile(r"%(2[fF]|5[cC]|3[bBfF]|23|00)")
"""Escaped: no separator for who splits a path before it decodes the segments."""


def spellings(path: str) -> list[str]:
    """Return the paths, in small letters and without anything that could be read in two ways, each once.

    Costs next to nothing for a path that can be read in one way only.
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
        # For a reader of URLs, two slashes begin a host.
        host = next((at for at, segment in enumerate(segments) if segment), len(segments))
        yield from _without_dots(segments[host + 1 :])


def _without_dots(segments: list[str]) -> Iterator[str]:
    there = [segment for segment in segments if segment not in {"", "."}]
    if ".." not in there:
        yield "/" + "/".join(there)
        return
    yield _joined(there)
    if "" in segments[1:]:
        # RFC 3986 5.2.4: an empty segment is one that ".." takes away.
        yield _joined([segment for segment in segments if segment != "."])


def _joined(segments: list[str]) -> str:
    kept: list[str] = []
    for segment in segments:
        if segment != "..":
            kept.append(segment)
        elif kept:
            kept.pop()
    return "/" + "/".join(filter(None, kept))
