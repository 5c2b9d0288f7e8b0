"""Finds where the members of JSON objects and the elements of lists begin and end, whatever is in them.

Recorders put into opaque events what strict readers refuse: unpaired surrogates, odd numbers, deep trees
(rules.md 3). So the scanner skips a value by its brackets and strings alone. It neither decodes nor checks it.

One match of a regular expression reads a whole element or member, with the comma or bracket after it. The
expressions know up to six levels of nesting. A match is tried within a window only, because other threads wait while
the engine runs. What is deeper or longer than that is skipped by a loop over its brackets and strings.
"""

from __future__ import annotations

import re

import msgspec

from fsproxy.core.json.surrogates import with_stand_ins
from fsproxy.core.possessive import BACK_IN_BYTES

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What some programs write before a text in UTF-8; it is skipped, and forwarded (rules.md 2)."""
Span = tuple[int, int]
"""The bytes of a value: the first, and one past the last."""
Steps = tuple[str | int, ...]
"""The way to a member from the root of its document: names in objects, places in lists."""
NOWHERE: Steps = ()
"""The root itself."""

_SPACE = rb"[ \t\r\n]*+"
STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
"""A string, for ``re.DOTALL``."""
STRING_OR_NAME = STRING + rb"(" + _SPACE + rb":)?"
"""A string. One with a colon behind it, which is group 1, is a name."""
PLAIN = rb'[^"\[\]{}]++|' + STRING
"""A string, or what is between strings and brackets."""
_SCALAR = rb'[^ \t\r\n,:"\[\]{}]++'


def _balanced(levels: int) -> bytes:
    """Return the pattern of an object or list that holds at most so many levels of others.

    It does not check that a bracket is closed by one of its own kind, which strict readers do.
    """
    pattern = rb"[\[{](?:" + PLAIN + BACK_IN_BYTES + rb")*+[\]}]"
    for _ in range(levels):
        pattern = rb"[\[{](?:" + PLAIN + rb"|" + pattern + BACK_IN_BYTES + rb")*+[\]}]"
    return pattern


# Nothing here backtracks: no two alternatives begin with the same byte, and every repetition is possessive
# (``*+``, ``++``). So a value is read in linear time.
_VALUE = STRING + rb"|" + _SCALAR + rb"|" + _balanced(5)
_ELEMENT = re.compile(_SPACE + rb"(" + _VALUE + rb")" + _SPACE + rb"([,\]])", re.DOTALL)
_MEMBER = re.compile(
    _SPACE + rb"(" + STRING + rb")" + _SPACE + rb":" + _SPACE + rb"(" + _VALUE + rb")" + _SPACE + rb"([,}])", re.DOTALL
)
_NAME = re.compile(_SPACE + rb"(" + STRING + rb")" + _SPACE + rb":" + _SPACE, re.DOTALL)
_VALUE_ALONE = re.compile(_VALUE, re.DOTALL)
_TOKEN = re.compile(STRING + rb'|([\[{]++)|[\]}]++|"', re.DOTALL)
_WINDOW = 16 * 1024
"""Bytes that one step of the engine reads at most; they take a millisecond, during which other threads wait."""
_BLANK = re.compile(rb"[ \t\r\n]{0,%d}+" % _WINDOW)
_COMMA, _QUOTE = 0x2C, 0x22
_END_OF_LIST, _END_OF_OBJECT = 0x5D, 0x7D


class ScanError(Exception):
    """The text has no bracket, comma or colon where it must have one."""


class Member(msgspec.Struct, frozen=True, gc=False):
    """The places of one member of an object: of its name with its quotes, and of its value."""

    start: int
    name_end: int
    value_start: int
    end: int


def skip_blank(data: bytes, at: int) -> int:
    """Return the place of the first byte that is not white space."""
    end = _end(_BLANK, data, at)
    while end - at == _WINDOW:
        at, end = end, _end(_BLANK, data, end)
    return end


def begin_of_json(data: bytes) -> int:
    """Return the place of the first byte of a document's value, after a byte order mark and white space."""
    return skip_blank(data, len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0)


def end_of_value(data: bytes, at: int) -> int:
    """Return the place after the value that begins at ``at``, at any depth. Raise ScanError if there is none."""
    if data[at : at + 1] not in (b"[", b"{"):
        found = _VALUE_ALONE.match(data, at)
        if found is None:
            raise ScanError
        return found.end()
    found = _VALUE_ALONE.match(data, at, at + _WINDOW)
    return found.end() if found is not None else _end_of_deep_value(data, at)


def _end_of_deep_value(data: bytes, at: int) -> int:
    """Return the place after a value by counting brackets, run by run.

    This is slower than a match, and safe at any depth and length, because it keeps nothing but the count. A token is
    a string, a run of opening brackets (group 1), a run of closing ones, or a quote without a string's end.
    """
    depth = 0
    for found in _TOKEN.finditer(data, at):
        first, last = found.span()
        if found.lastindex:
            depth += last - first
        elif data[first] != _QUOTE:
            depth -= last - first
            if depth <= 0:
                return last + depth  # the run may also close what is around the value
        elif last - first == 1:  # a string without an end
            break
    raise ScanError


def _end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    found = pattern.match(data, at)
    return found.end() if found else at


def elements_of(data: bytes, at: int) -> tuple[list[Span], int]:
    """Return the elements of the list that begins at ``at``, and the place after it. Raise ScanError for a fault."""
    if data[at : at + 1] != b"[":
        raise ScanError
    at += 1
    first = skip_blank(data, at)
    if data[first : first + 1] == b"]":
        return [], first + 1
    spans: list[Span] = []
    while True:
        found = _ELEMENT.match(data, at, at + _WINDOW)
        if found is not None:
            spans.append(found.span(1))
            at = found.end()
            closing = data[at - 1]
        else:
            start = skip_blank(data, at)
            end = end_of_value(data, start)
            spans.append((start, end))
            at = skip_blank(data, end) + 1
            closing = data[at - 1] if at <= len(data) else 0
        if closing == _END_OF_LIST:
            return spans, at
        if closing != _COMMA:
            raise ScanError


def members_of(data: bytes, at: int, most: int | None = None) -> tuple[list[Member], int]:
    """Return the members of the object that begins at ``at``, and the place after it. Raise ScanError for a fault.

    Raise OverflowError for an object with more than ``most`` members.
    """
    if data[at : at + 1] != b"{":
        raise ScanError
    at += 1
    first = skip_blank(data, at)
    if data[first : first + 1] == b"}":
        return [], first + 1
    members: list[Member] = []
    while True:
        if len(members) == most:
            raise OverflowError
        found = _MEMBER.match(data, at, at + _WINDOW)
        if found is not None:
            members.append(Member(*found.span(1), *found.span(2)))
            at = found.end()
            closing = data[at - 1]
        else:
            start, name_end, value_start = name_at(data, at)
            end = end_of_value(data, value_start)
            members.append(Member(start, name_end, value_start, end))
            at = skip_blank(data, end) + 1
            closing = data[at - 1] if at <= len(data) else 0
        if closing == _END_OF_OBJECT:
            return members, at
        if closing != _COMMA:
            raise ScanError


def name_at(data: bytes, at: int) -> tuple[int, int, int]:
    """Return where the next member's name begins and ends, and where its value begins. Raise ScanError if none does."""
    name = _NAME.match(data, at)
    if name is None:
        raise ScanError
    return name.start(1), name.end(1), name.end()


def name_of(data: bytes, member: Member) -> str | None:
    """Return a member's name, decoded as ``strict`` decodes it; None if it is not UTF-8."""
    raw = data[member.start + 1 : member.name_end - 1]
    try:
        return raw.decode() if b"\\" not in raw else str(msgspec.json.decode(b'"' + raw + b'"'))
    except ValueError:
        return _odd_name(raw)


def _odd_name(raw: bytes) -> str | None:
    """Decode a name with unpaired surrogates in it; unescaped ones come only from texts that were decoded before."""
    try:
        return str(msgspec.json.decode(b'"' + with_stand_ins(raw.decode("utf-8", "surrogatepass")).encode() + b'"'))
    except ValueError:
        return None
