"""Finds the numbers in a text that may be the ``Kind`` of a call, in whatever form they are written (rules.md 4)."""

from __future__ import annotations

import re
from typing import Any

import re2

from fsproxy.core.client_api.reading.arguments import CUSTOM_EVENT, VARIABLES
from fsproxy.core.client_api.reading.splitting import PART
from fsproxy.core.possessive import BACK_IN_BYTES

# The digits of a call's kind, anywhere in the text: a body without them has no calls. Recorders write ``8197``, and
# other programs may write the same number as ``8197.0`` or ``8.197e3``, or as ``8196.9999999999999``, which a double
# rounds to it. So a point may be between any two digits, and the last digit may be one less with nines after it.
_NUMBER_OF_CALL = rb"8\.?1\.?9\.?(?:[37]|[26]\.?9{9})"
_KINDS = re.compile(_NUMBER_OF_CALL)
# Most bodies have none. RE2 finds that out in a third of the time of ``re``.
_find_kind = re2.compile(_NUMBER_OF_CALL).search
_BEFORE, _AFTER = b": \t\r\n", (b",", b"}", b" ", b"\t", b"\r", b"\n")
_LONGEST_MATCH = 16
"""Bytes of the longest match, so that one across the end of a part is found."""
_REST_OF_NUMBER = re.compile(rb"[0-9.]*+(?:[eE][+-]?+[0-9]++" + BACK_IN_BYTES + rb")?+")
_DIGITS = b"0123456789."
_LONGEST_BEGIN = 64
"""Digits that are read before and after a match. The event of a longer number is read in full."""
_IN_NUMBER = b"0123456789.eE"
_CALL_NUMBERS = frozenset({CUSTOM_EVENT, VARIABLES})


def places_of_kinds(body: bytes) -> list[int]:
    """Return where a call's number may be the value of a member, whatever the member's name.

    A place too many costs a little time, and a missing one would hide a call, so a place in doubt is returned. A match
    between bytes that may surround a value is returned at once, any other one if the whole number around it is a
    call's.
    """
    found = _find_kind(body)
    if found is None:
        return []
    places: list[int] = []
    # The engine holds the interpreter's lock while it searches. It searches parts, to let other threads run in between.
    for begin in range(found.start(), len(body), PART):
        for each in _KINDS.finditer(body, begin, begin + PART + _LONGEST_MATCH):
            start, end = each.span()
            if (body[start - 1] in _BEFORE and body[end : end + 1] in _AFTER) or _is_odd_number(body, start, end):
                places.append(start)
    return places


def _is_odd_number(body: bytes, start: int, end: int) -> bool:
    """Return whether a match is part of a call's number in another form than ``8197``."""
    if body[start:end].isdigit() and body[start - 1] not in _IN_NUMBER and body[end : end + 1] not in _IN_NUMBER:
        return False  # the plain number, but not as a value: many bodies have it in texts
    before = body[max(0, start - _LONGEST_BEGIN) : start]
    begin = before[len(before.rstrip(_DIGITS)) :]
    rest = _REST_OF_NUMBER.match(body, end, end + _LONGEST_BEGIN)
    number = begin + body[start:end] + (rest[0] if rest else b"")
    if number.isdigit():
        return False
    try:
        # float accepts some numbers that are not JSON. Then the event is read, and found not to be a call.
        return len(number) >= _LONGEST_BEGIN or float(number.lstrip(b".")) in _CALL_NUMBERS
    except ValueError:
        return False


def call_number(value: Any) -> int | None:
    """Return a decoded ``Kind`` as an integer if it is a call's, in whatever form it was written; else None."""
    return int(value) if type(value) in (int, float) and value in (CUSTOM_EVENT, VARIABLES) else None
