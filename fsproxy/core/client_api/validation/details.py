"""The fixed text of each rejection. It names the limit, never the value (rules.md 3)."""

from __future__ import annotations

from fsproxy.core.client_api.calls import MAX_LEAVES
from fsproxy.core.json.surrogates import shown_halves
from fsproxy.core.model import CallKind, PropertyType
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings

LONGEST_ECHO = 1024
"""Characters of a name or path in a rejection, so that no rejection is larger than what it rejects."""

_TYPES = ", ".join(PropertyType)
_FIT: dict[PropertyType, str] = {
    PropertyType.STR: "not a string",
    PropertyType.INT: "not an integer of 64 bits",
    PropertyType.REAL: "not a number",
    PropertyType.DATE: "not an ISO-8601 date in UTC",
    PropertyType.BOOL: "not true or false",
    PropertyType.STRS: "not a list of strings",
    PropertyType.INTS: "not a list of integers of 64 bits",
    PropertyType.REALS: "not a list of numbers",
    PropertyType.DATES: "not a list of ISO-8601 dates in UTC",
    PropertyType.BOOLS: "not a list of true and false",
}


def cut(name: str) -> str:
    """Return a name as it may be echoed: its first 1,024 characters, without unpaired surrogates."""
    name = name if name.isascii() else shown_halves(name)
    return name if len(name) <= LONGEST_ECHO else name[:LONGEST_ECHO] + "…"


def names_detail(kind: CallKind, settings: ClientApiSettings) -> str:
    """Return what is wrong with a property whose name the ledger refused. A page's has two limits."""
    limits = settings.cardinality
    most, most_per_page = limits.page_properties, limits.page_properties_per_page
    if kind is not CallKind.PAGE:
        return "a new name beyond the limit on names"
    of_page = [f"{most_per_page} of a page"] if most_per_page is not None else []
    of_all = [f"{most} of all pages"] if most is not None else []
    return f"a new name beyond {' or '.join(of_page + of_all)}"


def property_detail(code: RejectionCode, settings: ClientApiSettings, declared: PropertyType | None) -> str:
    """Return what is wrong with a property. ``declared`` is the type that its value does not fit."""
    if code is RejectionCode.INVALID_VALUE:
        return _FIT[declared] if declared is not None else "its value does not show its type"
    if code is RejectionCode.INVALID_PROPERTY_NAME:
        return f"not a letter followed by letters, digits, _{' and -' if settings.allow_hyphen else ''}"
    if code is RejectionCode.PROPERTY_NAME_TOO_LONG:
        return f"longer than {settings.property_name_length} characters"
    if code is RejectionCode.MISSING_PROPERTY_TYPE:
        return f"declares no type; the types are {_TYPES}"
    if code is RejectionCode.INVALID_PROPERTY_TYPE:
        return f"declares a type other than {_TYPES}"
    if code is RejectionCode.VALUE_TOO_BIG:
        return f"larger than {settings.value_size} bytes"
    if code is RejectionCode.CARDINALITY_EXCEEDED:
        return f"a new name beyond the first {MAX_LEAVES} of a call"
    return "an object or list where one value belongs"


def reserved_detail(code: RejectionCode, length: int) -> str:
    """Return what is wrong with a reserved property of at most ``length`` characters."""
    if code is RejectionCode.EXPECTED_ATOM:
        return "an object or list where one value belongs"
    if code is RejectionCode.CARDINALITY_EXCEEDED:
        return "a new value beyond the limit on values of pageName"
    return f"longer than {length} characters" if code is RejectionCode.VALUE_TOO_BIG else "not a string"
