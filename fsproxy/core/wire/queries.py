"""Reads parameters of a raw query, and finds out whether every reader gets the same values (rules.md 4)."""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from urllib.parse import unquote, unquote_plus

_DECISIVE = ("OrgId", "UserId", "SessionId", "PageId", "ContentEncoding", "ClientTime", "PageStart")
"""Parameters that decisions depend on."""
_OTHERS = ("Seq", "DeltaT", "PrevBundleTime", "LastActivity", "IsNewSession", "CompiledVersion", "SkipResponseBody")
_ORDINARY = frozenset(_DECISIVE + _OTHERS)
"""The parameters of recorders. Only for speed: a query with any other name is examined more closely."""
_name_and_value: Callable[[str], list[str]] = methodcaller("split", "=")
_IN_SMALL_LETTERS = {name.lower(): name for name in _DECISIVE}


def read_query(raw: str) -> tuple[dict[str, str], bool]:
    """Return the decoded values of the decisive parameters, and whether they are contradictory. There may be others.

    A parameter is contradictory if it has two different values, another value under its name in other letters, or if
    it matters that some readers split at semicolons. Of the others the first value counts. Never raise.
    """
    pairs = raw.split("&")
    try:
        found = dict(map(_name_and_value, pairs))
    except ValueError:  # one is no pair
        found = {}
    if len(found) == len(pairs) and _ORDINARY.issuperset(found) and not ("%" in raw or "+" in raw or ";" in raw):
        return found, False
    found, contradictory = _read(raw)
    if ";" in raw:
        split, also = _read(raw.replace(";", "&"))
        contradictory = contradictory or also or any(found.get(each, "") != split.get(each, "") for each in _DECISIVE)
    for name, value in found.items():
        if "%" in value or "+" in value:
            found[name] = unquote_plus(value)
    return found, contradictory


def _read(raw: str) -> tuple[dict[str, str], bool]:
    """Return the first raw value of each decisive name, and whether one has a different value as well."""
    found: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    for pair in raw.split("&"):
        name, _, value = pair.partition("=")
        if name not in _DECISIVE:
            name = unquote_plus(name)
        if name not in _DECISIVE:
            meant = _IN_SMALL_LETTERS.get(name.strip().lower())
            if meant is not None:
                others.append((meant, value))
        elif name not in found:
            found[name] = value
        elif found[name] != value:
            others.append((name, value))
    return found, any(_differ(found.get(name, ""), value) for name, value in others)


def _differ(one: str, other: str) -> bool:
    """Return whether two raw values differ, for readers of forms (in which a plus is a blank) or for any others."""
    return unquote_plus(one) != unquote_plus(other) or unquote(one) != unquote(other)
