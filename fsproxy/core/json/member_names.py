"""Names of JSON members in other letters, which some readers take for the same name (rules.md 4).

The vendor's programs are written in Go, whose reader compares names without case and takes the last one that fits.
Browsers take a name only as it is spelled. Where the two could differ, both readings are validated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import re2

# Two letters outside ASCII that Go takes for k and s.
_SIGN_FOR_KELVIN, _LONG_S = "\u212a", "\u017f"
_VARIANTS = {"k": ("K", _SIGN_FOR_KELVIN), "K": ("k", _SIGN_FOR_KELVIN), "s": ("S", _LONG_S), "S": ("s", _LONG_S)}
_escaped_letter = re2.compile(rb"\\u(?:00[4-7][0-9a-fA-F]|212[aA]|017[fF])").search
"""Finds an escaped letter. It may be part of any name, and no recorder writes one."""


def folded(name: str) -> str:
    """Return the name as Go compares it: lower case, and one letter for all that count as the same."""
    return name.lower().replace(_LONG_S, "s")


class KnownNames:
    """The names of the members that are read of an object."""

    __slots__ = ("_folded", "_names")

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._folded = frozenset(map(folded, self._names))

    def has_misspelt(self, found: Iterable[str]) -> bool:
        """Return whether one of the names is among those found, in other letters."""
        names, known = self._names, self._folded
        return bool(names) and any(name not in names and folded(name) in known for name in found)


NO_NAMES = KnownNames(())


def finder_of_misspelt(names: Iterable[str]) -> Callable[[bytes], object]:
    """Return a function that returns something if a text may have one of the names in other letters, else None.

    It is sure of a text without such a name, and may find one that is inside a value.
    """
    # Each of the two expressions begins with one text, so that RE2 only looks where that text is. As a single one they
    # would look at every byte, which takes five times as long in a bundle.
    search = re2.compile(b'"(?:' + b"|".join(map(_misspelt, names)) + b')"').search

    def find(text: bytes) -> object:
        found: object = search(text)
        return _escaped_letter(text) if found is None and b"\\" in text else found

    return find


def _misspelt(name: str) -> bytes:
    """Return the pattern of all spellings but the right one.

    A wrong spelling is right up to some letter, then has a wrong letter, and then any letters. So the pattern has one
    alternative for each place of the first wrong letter.
    """
    return b"|".join(
        name[:place].encode()
        + _one_of(_others(letter))
        + b"".join(_one_of((it, *_others(it))) for it in name[place + 1 :])
        for place, letter in enumerate(name)
    )


def _others(letter: str) -> tuple[str, ...]:
    return _VARIANTS.get(letter, (letter.swapcase(),))


def _one_of(letters: Iterable[str]) -> bytes:
    return b"(?:" + b"|".join(re.escape(each.encode()) for each in letters) + b")"
