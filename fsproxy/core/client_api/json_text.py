"""The JSON of a call, strictly: one object, and nothing in it that two readers could read differently.

The good case is one pass of msgspec and one over what it made; what it leaves open (names given
twice, depth, integers beyond a double) is closed here. Only a text that fails is read again, to say why.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection
from enum import Enum, unique
from typing import Any

import msgspec

from fsproxy.core.client_api.in_parts import all_within, kinds_of

MAX_DEPTH = 64
"""Objects and lists in each other (rules.md 2)."""

_STRINGS, _INTEGERS = {str}, {int}
_LARGEST = int(sys.float_info.max)
_decode = msgspec.json.Decoder().decode
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"([ \t\r\n]*+:)?'
_STRINGS_TEXT = re.compile(_STRING, re.DOTALL)
_STRINGS_BYTES = re.compile(_STRING.encode(), re.DOTALL)


@unique
class Fault(Enum):
    """What is wrong with a text; the value is the rejection's detail."""

    NOT_UTF8 = "not UTF-8"
    NOT_JSON = "not valid JSON"
    NOT_OBJECT = "not a JSON object"
    TOO_DEEP = f"objects and lists nested deeper than {MAX_DEPTH}"
    NUMBER = "a number outside the range of a double"
    SURROGATE = "an unpaired surrogate"
    DUPLICATE = "the same name twice in one object"
    NOT_BATCH = "no list of requests"


def parse_object(text: bytes | str) -> dict[str, Any] | Fault:
    """Read one JSON object, strictly. Never raises, whatever the text holds; works in linear time."""
    try:
        root = _decode(text)
    except (ValueError, RecursionError):  # msgspec's own errors and Unicode's are ValueErrors
        return _why(text)
    if type(root) is not dict:
        return Fault.NOT_OBJECT
    counted = _count(root)
    if isinstance(counted, Fault):
        return counted
    return root if _all_names_differ(text, *counted) else Fault.DUPLICATE


def _count(root: dict[str, Any]) -> tuple[int, int] | Fault:  # noqa: C901 - one loop: a step for each value is what it costs
    """Go through what was read, level by level: count names and strings, find what is too deep or too large."""
    names = strings = 0
    level: list[Any] = [root]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for container in level:
            values: Collection[Any] = container
            if type(container) is dict:
                names += len(container)
                values = container.values()
            elif (kinds := kinds_of(container)) == _STRINGS:
                strings += len(container)
                continue
            elif kinds == _INTEGERS:
                if not all_within(container, -_LARGEST, _LARGEST):
                    return Fault.NUMBER
                continue
            for value in values:
                kind = type(value)
                if kind is str:
                    strings += 1
                elif kind is dict or kind is list:
                    below.append(value)
                elif kind is int and not -_LARGEST <= value <= _LARGEST:
                    return Fault.NUMBER
        if not below:
            return names, strings
        level = below
    return Fault.TOO_DEEP


def _all_names_differ(text: bytes | str, names: int, strings: int) -> bool:
    """Compare the names that were kept, and the strings among the values, with those that the text holds."""
    # Without an escape each name and each string is two quotes; a name given twice loses two at least.
    # With escapes: each name has its colon, so a text with no other colons is settled by counting them; where
    # none stands after white space, each name has its quote and colon side by side, and those are counted.
    if isinstance(text, str):
        if "\\" not in text:
            return text.count('"') == 2 * (names + strings)
        if text.count(":") == names:
            return True
        if text.count('":') == names and not (" :" in text or "\n" in text or "\t" in text or "\r" in text):
            return True
        return sum(map(bool, _STRINGS_TEXT.findall(text))) == names
    if b"\\" not in text:
        return text.count(b'"') == 2 * (names + strings)
    if text.count(b":") == names:
        return True
    if text.count(b'":') == names and not (b" :" in text or b"\n" in text or b"\t" in text or b"\r" in text):
        return True
    return sum(map(bool, _STRINGS_BYTES.findall(text))) == names


class _OutOfRangeError(ValueError):
    """A number outside the range of a double."""


def _number(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise _OutOfRangeError
    return number


def _constant(name: str) -> None:
    raise ValueError(name)


def _why(text: bytes | str) -> Fault:
    """Name the fault of a text that msgspec refused."""
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        root = json.loads(decoded, parse_int=_number, parse_float=_number, parse_constant=_constant)
    except UnicodeDecodeError:
        return Fault.NOT_UTF8
    except _OutOfRangeError:
        return Fault.NUMBER
    except RecursionError:
        return Fault.TOO_DEEP
    except ValueError:
        return Fault.NOT_JSON
    # The standard reader takes unpaired surrogates, msgspec does not; nothing else divides them.
    return Fault.SURROGATE if type(root) is dict else Fault.NOT_OBJECT
