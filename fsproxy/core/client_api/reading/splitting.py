"""Splits a bundle into its events without reading them (wire.md 2)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, count
from operator import add, sub
from typing import overload

import msgspec

from fsproxy.core.json.member_names import folded
from fsproxy.core.json.scanner import (
    ScanError,
    Span,
    begin_of_json,
    elements_of,
    members_of,
    name_of,
    skip_blank,
)

PART = 64 * 1024
"""Bytes that are read in one step, as other threads wait meanwhile: half a millisecond of most events."""

_SPACE = rb"[ \t\r\n]*+"
_HEAD = re.compile(
    rb"(?:\xef\xbb\xbf)?"
    + _SPACE + rb"\{(?:" + _SPACE + rb'"(?:Seq|When)"' + _SPACE + rb":" + _SPACE + rb"-?[0-9][0-9.eE+-]*+" + _SPACE
    + rb",)*+" + _SPACE + rb'"Evts"' + _SPACE + rb":" + _SPACE + rb"\["
)  # fmt: skip
_TAIL_AT_END = re.compile(rb"\][ \t\r\n]*\}[ \t\r\n]*\Z")
_LONGEST_TAIL = 64
_EVENTS = folded("Evts")
_BETWEEN, _BETWEEN_OTHERS = b',{"Kind":', b",{"
# Recorders write unpaired surrogates (wire.md 6). One of another character's escapes is as long.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_REPLACEMENT = rb"\\ufffd"
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Spans(Sequence[Span]):
    """Where events stand, in order. A span is made when it is asked for: few are, of hundreds."""

    __slots__ = ("_ends", "_lengths", "lists")

    def __init__(self, ends: list[int], lengths: list[int], lists: tuple[int, ...] = ()) -> None:
        self._ends = ends
        self._lengths = lengths
        self.lists = lists or (len(ends),)
        """How many events each list of the bundle has; one that is not trying to mislead has one list."""

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Span: ...

    @overload
    def __getitem__(self, index: slice) -> list[Span]: ...

    def __getitem__(self, index: int | slice) -> Span | list[Span]:
        if isinstance(index, slice):
            return list(zip(map(sub, self._ends[index], self._lengths[index]), self._ends[index], strict=True))
        end = self._ends[index]
        return end - self._lengths[index], end

    def moved(self, by: int) -> Spans:
        """Give the places in a text in which that of the events begins ``by`` bytes later."""
        return Spans([end + by for end in self._ends], self._lengths, self.lists)

    def holding(self, place: int) -> int:
        """Tell which event a place lies in; -1: none."""
        index = bisect_right(self._ends, place)
        return index if index < len(self._ends) and self[index][0] <= place else -1


def looks_like_one(body: bytes) -> bool:
    """Tell whether a body begins and ends as bundles do."""
    return _HEAD.match(body) is not None and _TAIL_AT_END.search(body, len(body) - _LONGEST_TAIL) is not None


def split_events(body: bytes) -> Spans | None:
    """Split a bundle; None: it is not an object with a list named Evts. Raises ScanError: it is not JSON.

    A list of that name in other letters is one, and so is each of several: some reader takes it for the events.
    """
    return _split_at_once(body) or _split(body)


def _split_at_once(body: bytes) -> Spans | None:
    """Split the events of a bundle as recorders write it; None leaves it to the scanner."""
    head, tail = _HEAD.match(body), _TAIL_AT_END.search(body, len(body) - _LONGEST_TAIL)
    if head is None or tail is None:
        return None
    at, last = skip_blank(body, head.end()), tail.start()
    ends: list[int] = []
    lengths: list[int] = []
    while at < last:
        # Wherever the cuts are: if each part is a list without its brackets, then so is the whole.
        cut = _cut(body, at + PART, last) if last - at > 2 * PART else last
        some = _lengths(b"[" + body[at:cut] + b"]")
        if not some:
            return None
        # Between the events of JSON stand only commas and white space. With commas alone, nothing is left
        # after the last one. No step of the interpreter for an event: there are hundreds.
        ends += map(add, accumulate(some, initial=at), count(-1))
        del ends[len(lengths)]  # the first of these is where the events begin
        lengths += some
        if ends[-1] != cut:
            return None
        at = cut + 1
    return Spans(ends, lengths) if at == last + 1 else None


def _cut(body: bytes, at: int, last: int) -> int:
    """Give a place between two events, as far as can be guessed; ``last`` if there is none."""
    cut = body.find(_BETWEEN, at, min(at + 2 * PART, last))
    cut = cut if cut >= 0 else body.find(_BETWEEN_OTHERS, at, last)
    return cut if cut >= 0 else last


def _lengths(part: bytes) -> list[int] | None:
    """Measure the elements of a list; None when it is not the JSON that msgspec reads."""
    try:
        return list(map(len, _decode_list(part)))
    except (ValueError, RecursionError):
        if _SURROGATE.search(part) is None:
            return None
    try:
        return list(map(len, _decode_list(_SURROGATE.sub(_REPLACEMENT, part))))
    except (ValueError, RecursionError):
        return None


def _split(body: bytes) -> Spans | None:
    members, end = members_of(body, begin_of_json(body))
    if skip_blank(body, end) != len(body):
        raise ScanError
    found = [
        elements_of(body, member.value_start)[0]
        for member in members
        if folded(name_of(body, member) or "") == _EVENTS and body[member.value_start : member.value_start + 1] == b"["
    ]
    if not found:
        return None
    ends, lengths = (
        [end for spans in found for _, end in spans],
        [end - start for spans in found for start, end in spans],
    )
    return Spans(ends, lengths, tuple(map(len, found)))
