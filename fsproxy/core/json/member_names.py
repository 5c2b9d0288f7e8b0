"""Names of JSON members in other letters than their own, which some readers take for the same name (rules.md 4).

The vendor's own programs are written in Go, whose reader compares names without case and takes the last of
those that fit. Browsers take a name as it is spelled. What both could read is judged by both readings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import re2

_SIGN_FOR_KELVIN, _LONG_S = "\u212a", "\u017f"
_VARIANTS = {"k": ("K", _SIGN_FOR_KELVIN), "K": ("k", _SIGN_FOR_KELVIN), "s": ("S", _LONG_S), "S": ("s", _LONG_S)}
# An escape of a letter: nobody needs one, and it may stand in any name.
_ESCAPED_LETTER = rb"\\u(?:00[4-7][0-9a-fA-F]|212[aA]|017[fF])"


def folded(name: str) -> str:
    """Return the name as Go compares it: every letter that counts as the same one in one spelling."""
    return name.lower().replace(_LONG_S, "s")


class KnownNames:
    """The names that are read of an object."""

    __slots__ = ("_folded", "_names")

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._folded = frozenset(map(folded, self._names))

    def has_misspelt(self, found: Iterable[str]) -> bool:
        """Tell whether one of the names is among those found, in other letters."""
        names, known = self._names, self._folded
        return bool(names) and any(name not in names and folded(name) in known for name in found)


NO_NAMES = KnownNames(())


def finder_of_misspelt(names: Iterable[str]) -> Callable[[bytes], bool]:
    """Make a function that tells of a text whether one of the names may stand in it in other letters.

    It looks at every byte once, and finds such names also inside of values; where it finds none, there is none.
    """
    patterns = b"|".join(_misspelt(name) for name in names)
    search = re2.compile(b'"(?:' + patterns + b')"|' + _ESCAPED_LETTER).search
    return lambda text: search(text) is not None


def _misspelt(name: str) -> bytes:
    """Write the pattern of all spellings but the right one: right up to some letter, then a wrong one, then any."""
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
