"""Splits a bundle into its events without reading them (wire.md 2)."""

from __future__ import annotations

import re
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
from fsproxy.core.possessive import BACK_IN_BYTES

PART = 64 * 1024
"""Bytes that are read in one step, during which other threads wait: half a millisecond for most events."""

_SPACE = rb"[ \t\r\n]*+"
# The beginning of a bundle as recorders write it, up to the first of its events: ``{"Seq":1,"When":2,"Evts":[``.
_HEAD = re.compile(
    rb"(?:\xef\xbb\xbf)?"
    + _SPACE + rb"\{(?:" + _SPACE + rb'"(?:Seq|When)"' + _SPACE + rb":" + _SPACE + rb"-?[0-9][0-9.eE+-]*+" + _SPACE
    + rb"," + BACK_IN_BYTES + rb")*+" + _SPACE + rb'"Evts"' + _SPACE + rb":" + _SPACE + rb"\[" + _SPACE
)  # fmt: skip
_TAIL_AT_END = re.compile(rb"\][ \t\r\n]*\}[ \t\r\n]*\Z")
_LONGEST_TAIL = 64
_EVENTS = folded("Evts")
_BETWEEN, _BETWEEN_OTHERS = b',{"Kind":', b",{"
# Recorders write unpaired surrogates (wire.md 6), which msgspec refuses. Another character's escape is as long, so
# that replacing them moves nothing.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_REPLACEMENT = rb"\\ufffd"
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Spans(Sequence[Span]):
    """The places of events, in order. It keeps two lists of integers, and makes a span only when it is read."""

    __slots__ = ("ends", "lengths", "lists")

    def __init__(self, ends: list[int], lengths: list[int], lists: tuple[int, ...] = ()) -> None:
        self.ends = ends
        self.lengths = lengths
        self.lists = lists or (len(ends),)
        """How many events each list of the bundle has. Only a bundle that tries to mislead has more than one list."""

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> Span: ...

    @overload
    def __getitem__(self, index: slice) -> list[Span]: ...

    def __getitem__(self, index: int | slice) -> Span | list[Span]:
        if isinstance(index, slice):
            return list(zip(map(sub, self.ends[index], self.lengths[index]), self.ends[index], strict=True))
        end = self.ends[index]
        return end - self.lengths[index], end


def looks_like_one(body: bytes) -> bool:
    """Return whether a body begins and ends as bundles do."""
    return _HEAD.match(body) is not None and _TAIL_AT_END.search(body, len(body) - _LONGEST_TAIL) is not None


def split_events(body: bytes) -> Spans | None:
    """Split a bundle into its events; None: it is no object with a list named Evts. Raise ScanError if it is not JSON.

    Every list whose name is Evts without case counts, because some reader takes it for the events.
    """
    events = _split_at_once(body)
    return events if events is not None else _split(body)


def _split_at_once(body: bytes) -> Spans | None:
    """Split a bundle as recorders write it, with commas alone between the events; None: only the scanner can split it.

    msgspec decodes the list into raw events, of which only the lengths are used. If the lengths and one byte for each
    comma add up to the length of the whole text, then the places of the events follow from them: the running sum
    of the lengths, plus one for each comma before. If there is white space between events, the sum falls short, and
    the scanner splits instead. The steps over all events run inside C functions, because a step of the interpreter
    for each of hundreds of events would cost more than the decoding.
    """
    head, tail = _HEAD.match(body), _TAIL_AT_END.search(body, len(body) - _LONGEST_TAIL)
    if head is None or tail is None:
        return None
    at, last = head.end(), tail.start()
    ends: list[int] = []
    lengths: list[int] = []
    while at < last:
        # A long list is decoded in parts. The place of a cut is only a guess at a place between two events: if each
        # part is a list's content, then so is the whole, and if not, the scanner splits.
        cut = _cut(body, at + PART, last) if last - at > 2 * PART else last
        some = _lengths(b"[" + body[at:cut] + b"]")
        if not some:
            return None
        ends += map(add, accumulate(some, initial=at), count(-1))
        del ends[len(lengths)]  # accumulate yields the initial value first, which ends no event
        lengths += some
        if ends[-1] != cut:
            return None
        at = cut + 1
    return Spans(ends, lengths) if at == last + 1 else None


def _cut(body: bytes, at: int, last: int) -> int:
    """Return the place of a comma that probably separates two events; ``last`` if there is none."""
    cut = body.find(_BETWEEN, at, min(at + 2 * PART, last))
    cut = cut if cut >= 0 else body.find(_BETWEEN_OTHERS, at, last)
    return cut if cut >= 0 else last


def _lengths(part: bytes) -> list[int] | None:
    """Return the lengths of the elements of a list; None if msgspec cannot read it."""
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
    """Split any bundle with the scanner, list by list. Raise ScanError if it is not JSON."""
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
    ends = [end for spans in found for _, end in spans]
    lengths = [end - start for spans in found for start, end in spans]
    return Spans(ends, lengths, tuple(map(len, found)))
