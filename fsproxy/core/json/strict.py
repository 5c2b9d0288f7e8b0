"""Reads the JSON of a call strictly: one object, and nothing in it that two readers could read differently.

Usually msgspec decodes the text, and one pass over the result checks what msgspec lets pass: integers beyond a double,
and names given twice. What msgspec refuses is read again by other means, which find the fault if there is one:
unpaired surrogates by stand-ins (``surrogates``), a byte order mark by leaving it out, any depth in ``layers``.
"""

from __future__ import annotations

import re
import sys
from enum import Enum, unique
from typing import Any

import msgspec

from fsproxy.core.json.in_parts import PART, all_within, kinds_of
from fsproxy.core.json.layers import LEVELS, SLACK, layers_of
from fsproxy.core.json.scanner import BYTE_ORDER_MARK, STRING_OR_NAME
from fsproxy.core.json.surrogates import with_stand_ins

_DEEPEST = LEVELS + SLACK + 8
_CONTAINERS = {dict, list}
_LARGEST = int(sys.float_info.max)
_LONG = len(str(_LARGEST))
"""Characters of the shortest text that can hold a larger integer."""
_decode = msgspec.json.Decoder().decode
_BEFORE_COLON = (" :", "\n", "\t", "\r")
"""What is in every text with a blank between a name and its colon."""
_IN_TEXT: Any = ('":', _BEFORE_COLON, re.compile(STRING_OR_NAME.decode(), re.DOTALL).findall)
_IN_BYTES: Any = (b'":', [each.encode() for each in _BEFORE_COLON], re.compile(STRING_OR_NAME, re.DOTALL).findall)


@unique
class Fault(Enum):
    """What is wrong with a text. The value is the detail of the rejection."""

    NOT_UTF8 = "not UTF-8"
    NOT_JSON = "not valid JSON"
    NOT_OBJECT = "not a JSON object"
    NUMBER = "a number outside the range of a double"
    DUPLICATE = "the same name twice in one object"
    NOT_BATCH = "no list of requests"
    MISSPELT = "a name in other letters than it has"


def parse_object(text: bytes | str) -> dict[str, Any] | Fault:
    """Return one JSON object, read as ``parse`` reads it."""
    found = parse(text)
    return found if type(found) is dict or isinstance(found, Fault) else Fault.NOT_OBJECT


def parse(text: bytes | str) -> Any:
    """Return one JSON value, or the Fault for which it cannot be read. Never raises, and takes linear time.

    What is deeper than any name reaches is checked as well, and replaced by an empty object or list.
    """
    try:
        root = _decode(text)
    except (ValueError, RecursionError):  # msgspec's own errors and Unicode's are ValueErrors
        return _parse_oddly(text)
    checked = _check(root, text)
    return _parse_layers(_as_text(text)) if checked is _TOO_DEEP else root if checked is None else checked


def _parse_oddly(text: bytes | str) -> Any:
    """Read what msgspec refused: without a byte order mark, and with stand-ins for unpaired surrogates."""
    try:
        readable = with_stand_ins(_as_text(text))
        root = _decode(readable)
    except UnicodeError:
        return Fault.NOT_UTF8
    except ValueError as error:
        return _fault_of(error)
    except RecursionError:
        return _parse_layers(readable)
    checked = _check(root, readable)
    return _parse_layers(readable) if checked is _TOO_DEEP else root if checked is None else checked


def _parse_layers(text: str) -> Any:
    root: Any = None
    try:
        for layer in layers_of(text):
            root = _decode(layer)
            checked = _check(root, layer)
            if isinstance(checked, Fault):
                return checked
    except ValueError as error:
        return _fault_of(error)
    return root


def _as_text(text: bytes | str) -> str:
    return text if isinstance(text, str) else text.removeprefix(BYTE_ORDER_MARK).decode()


def _fault_of(error: ValueError) -> Fault:
    # msgspec has one exception for all faults. This one can only be recognized by its message.
    return Fault.NUMBER if "out of range" in str(error) else Fault.NOT_JSON


_TOO_DEEP = object()
"""The text was decoded, but is deeper than ``_check`` goes: it must be read in layers."""


def _check(root: Any, text: bytes | str) -> object | None:
    """Look for what msgspec lets pass, level by level. Return a Fault, ``_TOO_DEEP``, or None if nothing is wrong."""
    names, may_be_large = 0, len(text) >= _LONG
    level: list[Any] = [root] if type(root) in _CONTAINERS else [[root]]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for container in level:
            values = container
            if type(container) is dict:
                names += len(container)
                values = container.values() if len(container) <= PART else list(container.values())
            kinds = set(map(type, values)) if len(values) <= PART else kinds_of(values)
            if may_be_large and int in kinds:
                integers = [value for value in values if type(value) is int] if len(kinds) > 1 else list(values)
                if not all_within(integers, -_LARGEST, _LARGEST):
                    return Fault.NUMBER
            if not kinds.isdisjoint(_CONTAINERS):
                below += [value for value in values if type(value) in _CONTAINERS]
        if not below:
            # Each name in the text has a colon, and strings may hold more. If a name is given twice, msgspec keeps one.
            all_differ = occurrences(text, ":") == names or _have_as_many_names(text, names)
            return None if all_differ else Fault.DUPLICATE
        level = below
    return _TOO_DEEP


def _have_as_many_names(text: bytes | str, names: int) -> bool:
    """Return whether a text that has more colons than names has no more names than were decoded."""
    # The colons directly after a quote are counted first, and then those that follow a whole string.
    quoted, blanks, strings = _IN_TEXT if isinstance(text, str) else _IN_BYTES
    if text.count(quoted) == names and not any(each in text for each in blanks):
        return True
    return sum(map(bool, strings(text))) == names


def occurrences(text: bytes | str, character: str) -> int:
    """Return how often a character is in a text. To remove it from long bytes takes less time than to count it."""
    if isinstance(text, str):
        return text.count(character)
    return len(text) - len(text.replace(character.encode(), b""))
