"""The names of properties: how they are spelled, and the type that a suffix declares (rules.md 2)."""

from __future__ import annotations

import re
from functools import lru_cache

from fsproxy.core.model import PropertyType
from fsproxy.core.reasons import RejectionCode

TYPES: dict[str, PropertyType] = {str(each): each for each in PropertyType}
"""By suffix, with case: ``_Str`` is no type."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_HYPHENATED_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_REMEMBERED_NAMES = 4096
_LONGEST_REMEMBERED = 96
"""Characters of a name that is remembered; together with the number above it bounds the memory under a megabyte."""


def _read(key: str, allow_hyphen: bool) -> PropertyType | RejectionCode:  # noqa: FBT001 - lru_cache is fastest so
    if (_HYPHENATED_NAME if allow_hyphen else _NAME).fullmatch(key) is None:
        return RejectionCode.INVALID_PROPERTY_NAME
    _, underscore, suffix = key.rpartition("_")
    if not underscore:
        return RejectionCode.MISSING_PROPERTY_TYPE
    return TYPES.get(suffix, RejectionCode.INVALID_PROPERTY_TYPE)


_read_remembered = lru_cache(_REMEMBERED_NAMES)(_read)


def read_name(key: str, allow_hyphen: bool) -> PropertyType | RejectionCode:  # noqa: FBT001 - called for every property
    """Return the type that one part of a path declares by its suffix, or what is wrong with the part.

    ``InvalidPropertyName`` comes before the faults of the suffix. The caller checks the length, whose fault comes in
    between (rules.md 2).
    """
    return _read_remembered(key, allow_hyphen) if len(key) <= _LONGEST_REMEMBERED else _read(key, allow_hyphen)
