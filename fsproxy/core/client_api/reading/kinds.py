"""Finds the numbers in a text that may be the ``Kind`` of a call, in whatever form they are written (rules.md 4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import re2

from fsproxy.core.client_api.reading.arguments import CUSTOM_EVENT, VARIABLES
from fsproxy.core.client_api.reading.splitting import PART
from fsproxy.core.json.scanner import Span

# The number of a call's kind wherever it stands: what has none has no calls. Recorders write ``8197``; ``8197.0``,
# ``8.197e3`` and what a double rounds to it are the same number.
_NUMBER_OF_CALL = rb"8\.?1\.?9\.?(?:[37]|[26]\.?9{9})"
_KINDS = re.compile(_NUMBER_OF_CALL)
# Most bodies have none, and RE2 sees that in a third of the time or less; bytes.find is slower than either.
_find_kind = re2.compile(_NUMBER_OF_CALL).search
_FEW = 16
"""Of them, RE2 finds each in less time; of many more the other does, as it costs less to call."""
_LONGEST_MATCH = 16
_BEFORE, _AFTER = b": \t\r\n", (b",", b"}", b" ", b"\t", b"\r", b"\n")
_REST_OF_NUMBER = re.compile(rb"[0-9.]*+(?:[eE][+-]?+[0-9]++)?+")
_DIGITS = b"0123456789."
_LONGEST_BEGIN = 64
_IN_NUMBER = b"0123456789.eE"
_CALL_NUMBERS = frozenset({CUSTOM_EVENT, VARIABLES})


def places_of_kinds(body: bytes) -> list[int]:
    """Give the places where a call's number stands as the value of a member, whatever its name."""
    return [
        start
        for start, end in _places(body)
        if (body[start - 1] in _BEFORE and body[end : end + 1] in _AFTER) or _is_odd_number(body, start, end)
    ]


def _places(body: bytes) -> Iterator[Span]:
    at = 0
    for _ in range(_FEW):
        found = _find_kind(body, at)
        if found is None:
            return
        yield found.span()
        at = found.end()
    # In parts, as other threads wait while the engine looks through one.
    for start in range(at, len(body), PART):
        for each in _KINDS.finditer(body, start, start + PART + _LONGEST_MATCH):
            yield each.span()


def _is_odd_number(body: bytes, start: int, end: int) -> bool:
    """Tell whether the digits belong to a call's number that is written in another form."""
    if body[start:end].isdigit() and body[start - 1] not in _IN_NUMBER and body[end : end + 1] not in _IN_NUMBER:
        return False  # a number in plain form, as many bodies have them in other places
    before = body[max(0, start - _LONGEST_BEGIN) : start]
    begin = before[len(before.rstrip(_DIGITS)) :]
    rest = _REST_OF_NUMBER.match(body, end, end + _LONGEST_BEGIN)
    number = begin + body[start:end] + (rest[0] if rest else b"")
    if number.isdigit():
        return False
    try:
        # What float takes and JSON does not may be one as well, and so may a longer one: the event is read for it.
        return len(number) >= _LONGEST_BEGIN or float(number.lstrip(b".")) in _CALL_NUMBERS
    except ValueError:
        return False


def call_number(value: Any) -> int | None:
    """Give the ``Kind`` of calls that this is, in whatever form the number was written; None: it is none."""
    return int(value) if type(value) in (int, float) and value in (CUSTOM_EVENT, VARIABLES) else None
