"""Validates the values of properties: whether they fit one of the ten types, and their size (rules.md 2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec

from fsproxy.core.client_api.calls import WIDEST_CHARACTER
from fsproxy.core.json.in_parts import all_within, kinds_of
from fsproxy.core.model import PropertyType
from fsproxy.core.reasons import RejectionCode

INT_MIN = -(2**63)
INT_MAX = 2**63 - 1
"""The range of an integer: 64 bits (rules.md 2)."""

_TIME = r"T(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?"
_UTC = r"(?:Z|\+00:00)"
_ANY_OFFSET = r"(?:Z|[+-](?:[01][0-9]|2[0-3])(?::[0-5][0-9])?)"
_YEAR = r"([0-9]{4}|\+[0-9]{6}|-(?!000000)[0-9]{6})"
_DAY = _YEAR + r"-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_DATE = re.compile(f"{_DAY}(?:{_TIME}{_UTC})?")
_OFFSET_DATE = re.compile(f"{_DAY}(?:{_TIME}{_ANY_OFFSET})?")
_YEARS_OF_CALENDAR = 400
"""The calendar repeats after so many years, also before year 1, for which Python has no dates."""
# Dates that need no look at the calendar, because the month has the day in every year. Most dates match.
SURE_DATE = (
    r"(?!0000)[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    f"(?:{_TIME}{_UTC})?"
)
_SURE_DATE = re.compile(SURE_DATE).fullmatch
SHORTEST_ELEMENT = 2
"""Bytes of the shortest element of a list, with the comma or bracket after it."""
LONGEST_ATOM = 320
"""Bytes of compact JSON. No number in a double's range is longer."""

_CONTAINERS = frozenset({dict, list})
_NUMBERS = frozenset({int, float})
_STRINGS = frozenset({str})
_BOOLEANS = frozenset({bool})

_Problem = RejectionCode | None
_encode = msgspec.json.Encoder().encode


def is_date(text: str) -> bool:
    """Return whether a text is a day, or a day and time in UTC, that the calendar has.

    Seconds and their fraction may be left out. Leap seconds and hour 24 are not valid. Years are those of JavaScript:
    four digits, or a sign and six digits.
    """
    return _SURE_DATE(text) is not None or _is_day(_DATE.fullmatch(text))


def is_offset_date(text: str) -> bool:
    """Return the same for times with any offset from UTC, as schemas of the second generation allow."""
    return _SURE_DATE(text) is not None or _is_day(_OFFSET_DATE.fullmatch(text))


def _is_day(found: re.Match[str] | None) -> bool:
    if found is None:
        return False
    year, month, day = map(int, found.groups())
    try:
        date(year % _YEARS_OF_CALENDAR + _YEARS_OF_CALENDAR, month, day)
    except ValueError:
        return False
    return True


def is_int(value: Any) -> bool:
    """Return whether a value is an integral JSON number of 64 bits. 49.0 is one, true is not."""
    if type(value) is float:
        return value.is_integer() and INT_MIN <= value <= INT_MAX
    return type(value) is int and INT_MIN <= value <= INT_MAX


def json_size(value: Any) -> int:
    """Return the size of a value in bytes: of a string in UTF-8, of anything else in compact JSON."""
    return len(value.encode()) if type(value) is str else len(_encode(value))


def _misfit(value: Any) -> RejectionCode:
    return RejectionCode.EXPECTED_ATOM if type(value) in _CONTAINERS else RejectionCode.INVALID_VALUE


def _validate_str(value: Any, size: int) -> _Problem:
    if type(value) is not str:
        return _misfit(value)
    if len(value) * WIDEST_CHARACTER <= size or json_size(value) <= size:
        return None
    return RejectionCode.VALUE_TOO_BIG


def _date_validator(fits: Callable[[str], bool]) -> Callable[[Any, int], _Problem]:
    def validate(value: Any, size: int) -> _Problem:
        if type(value) is not str:
            return _misfit(value)
        if not fits(value):
            return RejectionCode.INVALID_VALUE
        return None if len(value) <= size else RejectionCode.VALUE_TOO_BIG

    return validate


def _atom_validator(
    kinds: frozenset[type], fits: Callable[[Any], bool] | None = None
) -> Callable[[Any, int], _Problem]:
    def validate(value: Any, size: int) -> _Problem:
        if type(value) not in kinds or (fits is not None and not fits(value)):
            return _misfit(value)
        return None if size >= LONGEST_ATOM or len(_encode(value)) <= size else RejectionCode.VALUE_TOO_BIG

    return validate


def _are_ints(values: list[Any], kinds: set[type]) -> bool:
    if kinds == {int}:
        return all_within(values, INT_MIN, INT_MAX)
    return kinds <= _NUMBERS and all(map(is_int, values))


def _list_validator(fit: Callable[[list[Any], set[type]], bool]) -> Callable[[Any, int], _Problem]:
    def validate(value: Any, size: int) -> _Problem:
        if type(value) is not list:
            return _misfit(value)
        kinds = kinds_of(value)
        if not kinds.isdisjoint(_CONTAINERS):
            return RejectionCode.EXPECTED_ATOM
        if not fit(value, kinds):
            return RejectionCode.INVALID_VALUE
        # The length is checked first, so that no long list is encoded.
        too_big = len(value) * SHORTEST_ELEMENT > size or json_size(value) > size
        return RejectionCode.VALUE_TOO_BIG if too_big else None

    return validate


# One function for each type. It takes a value and the largest size in bytes, and returns what is wrong, or None: first
# whether it is one value where one is expected, then its type, then its size. An object or list inside a list is
# ``ExpectedAtom`` too.
VALIDATORS: dict[object, Callable[[Any, int], _Problem]] = {
    PropertyType.STR: _validate_str,
    PropertyType.INT: _atom_validator(_NUMBERS, is_int),
    PropertyType.REAL: _atom_validator(_NUMBERS),  # ``strict.parse`` returns only finite ones
    PropertyType.DATE: _date_validator(is_date),
    PropertyType.BOOL: _atom_validator(_BOOLEANS),
    PropertyType.STRS: _list_validator(lambda _, kinds: kinds <= _STRINGS),
    PropertyType.INTS: _list_validator(_are_ints),
    PropertyType.REALS: _list_validator(lambda _, kinds: kinds <= _NUMBERS),
    PropertyType.DATES: _list_validator(lambda values, kinds: kinds <= _STRINGS and all(map(is_date, values))),
    PropertyType.BOOLS: _list_validator(lambda _, kinds: kinds <= _BOOLEANS),
}
OFFSET_VALIDATORS = VALIDATORS | {
    PropertyType.DATE: _date_validator(is_offset_date),
    PropertyType.DATES: _list_validator(lambda values, kinds: kinds <= _STRINGS and all(map(is_offset_date, values))),
}
"""The same for types that come from a schema of the second generation, whose dates may have any offset."""


def reserved_problem(value: Any, length: int) -> RejectionCode | None:
    """Return what is wrong with the value of a reserved property: a string of at most ``length`` characters."""
    if type(value) is not str:
        return _misfit(value)
    return None if len(value) <= length else RejectionCode.VALUE_TOO_BIG


def inferred_type(value: Any) -> PropertyType | RejectionCode:
    """Return the type of a value for which apiVersion 2 declares none, or what is wrong with the value (rules.md 2).

    Any number is ``real``, and an empty list ``strs``.
    """
    kind = type(value)
    if kind is str:
        return PropertyType.STR
    if kind is bool:
        return PropertyType.BOOL
    if kind in _NUMBERS:
        return PropertyType.REAL
    if kind is not list:
        return _misfit(value)
    kinds = kinds_of(value)
    if kinds <= _STRINGS:
        return PropertyType.STRS
    if kinds <= _BOOLEANS:
        return PropertyType.BOOLS
    if kinds <= _NUMBERS:
        return PropertyType.REALS
    return RejectionCode.INVALID_VALUE if kinds.isdisjoint(_CONTAINERS) else RejectionCode.EXPECTED_ATOM
