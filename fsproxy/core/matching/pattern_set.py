"""Many regular expressions at once, on RE2: the work for a text does not grow with their number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import re2

REGEX = "regex:"
"""What an expression begins with in a configuration, where other texts may stand as well."""
EXPRESSION_MEMORY = 8 << 20
"""Bytes that one compiled expression may take. ``x{1000}`` fits six hundred times over, but not eight hundred times."""
_LEAST_MEMORY = 64 << 20
"""Bytes that a set may take at first. It takes only what it needs."""
_MOST_MEMORY = 4 << 30
_PROBE = "\x01fsproxy\x01"
"""A text that no pattern of a configuration is meant for."""


def options(memory: int) -> re2.Options:
    """Return RE2's options for an expression or a set that may take so many bytes. It logs nothing by itself."""
    made = re2.Options()
    made.log_errors = False
    made.max_mem = memory
    return made


def reason(expression: str) -> str:
    """Return RE2's words for what is wrong with an expression, or "" if nothing is."""
    try:
        re2.compile(expression, options(EXPRESSION_MEMORY))
    except re2.error as error:
        said: bytes = error.args[0]
        return said.decode("utf-8", "replace")
    except UnicodeError:
        return "half a character"
    return ""


@dataclass(frozen=True, slots=True)
class PatternSet:
    """Finds those of any number of patterns that match in one pass over a text, on an engine that never backtracks."""

    compiled: re2.Set | None
    """None if there are no patterns."""
    count: int

    @classmethod
    def of(cls, patterns: list[str]) -> Self:
        """Return the set of these expressions. Raise ``re2.error`` if one is not in RE2's syntax.

        A set with too little memory for its automaton matches nothing and reports nothing. So each set gets a probe
        as its last pattern, and is built with more and more memory until it finds the probe.
        """
        if not patterns:
            return cls(None, 0)
        memory = _LEAST_MEMORY
        while True:
            made = re2.Set.SearchSet(options(memory))
            for pattern in (*patterns, _PROBE):
                made.Add(pattern)
            if _works(made, len(patterns)):
                return cls(made, len(patterns))
            memory *= 2
            if memory > _MOST_MEMORY:
                raise re2.error("too many patterns, or too large ones")

    def first(self, text: bytes) -> int | None:
        """Return the lowest index of the patterns that match; None if none does."""
        return min(self.all(text), default=None)

    def all(self, text: bytes) -> list[int]:
        """Return the indexes of the patterns that match."""
        found: list[int] = self.compiled.Match(text) or [] if self.compiled is not None else []
        return [index for index in found if index < self.count]


def _works(made: re2.Set, index: int) -> bool:
    try:
        made.Compile()
    except re2.error:
        return False
    return index in (made.Match(_PROBE) or ())
