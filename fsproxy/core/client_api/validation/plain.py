"""Recognizes objects whose members are all plain values under names that were met before, without a step for each."""

from __future__ import annotations

from typing import Any

from fsproxy.core.client_api.calls import WIDEST_CHARACTER
from fsproxy.core.client_api.validation.values import INT_MAX, INT_MIN, LONGEST_ATOM
from fsproxy.core.json.in_parts import all_within
from fsproxy.core.model import PropertyType

_TYPES: dict[object, frozenset[type]] = {
    PropertyType.STR: frozenset({str}),
    PropertyType.INT: frozenset({int}),
    PropertyType.REAL: frozenset({int, float}),
    PropertyType.BOOL: frozenset({bool}),
}
"""The types of values of which only the size matters."""
LONGEST = 96
"""Characters of a name that is remembered."""
_MOST = 8192
"""Names that are remembered, which take at most 1.5 MB."""
_met: set[tuple[str, type]] = set()
"""Names with suffixes, each with a type of value that it may have."""


def note(name: str, kind: type, declared: object) -> None:
    """Remember that a value of this type was valid under a name whose suffix declares a type."""
    # Not every setting allows a hyphen.
    if declared in _TYPES and kind in _TYPES[declared] and len(name) <= LONGEST and "-" not in name:
        if len(_met) >= _MOST:
            _met.clear()
        _met.add((name, kind))


def are_plain(members: dict[str, Any], size: int, *, small: bool) -> bool:
    """Return whether all members are known to be valid. Each value may have ``size`` bytes; ``small``: all have fewer.

    False means only that the members must be looked at one by one.
    """
    kinds = list(map(type, members.values()))
    if size < LONGEST_ATOM or not _met.issuperset(zip(members, kinds, strict=True)):
        return False
    if not small:
        strings = [each for each in members.values() if type(each) is str]
        if max(map(len, strings), default=0) * WIDEST_CHARACTER > size and any(
            len(each) * WIDEST_CHARACTER > size and len(each.encode()) > size for each in strings
        ):
            return False
    return int not in kinds or all_within([each for each in members.values() if type(each) is int], INT_MIN, INT_MAX)
