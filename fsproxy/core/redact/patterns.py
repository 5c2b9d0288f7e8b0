"""What a redaction rule looks for: a named set, or a regular expression in RE2's syntax."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import re2

from fsproxy.core.matching import pattern_set
from fsproxy.core.matching.pattern_set import EXPRESSION_MEMORY, REGEX, options
from fsproxy.core.redact.named_sets import (
    CARD_MAY_BE,
    EMAIL_MAY_BE,
    IP_MAY_BE,
    Places,
    addresses,
    cards,
    emails,
    parameter,
)

QUERY = "query:"
_ANYTHING = ""
"""The expression that matches everywhere."""

Find = Callable[[str], Iterable[Places]]
"""Returns where the matches in a text are, in order and without overlaps. The text has no unpaired surrogates."""


class Pattern(NamedTuple):
    """A compiled pattern."""

    may_be: str
    """An expression that matches in every text that holds a text with a match, whatever is around that."""
    find: Find


_SETS = {
    "email": Pattern(EMAIL_MAY_BE, emails),
    "card": Pattern(CARD_MAY_BE, cards),
    "ip": Pattern(IP_MAY_BE, addresses),
}
NAMED = tuple(_SETS)
FORMS = f"{', '.join(_SETS)}, {QUERY}NAME, or {REGEX} and an expression in RE2's syntax (no look-around)"


def problem(text: str) -> str | None:
    """Return what a pattern must be, or None if this is one."""
    if text in _SETS or (text.startswith(QUERY) and text.removeprefix(QUERY).strip()):
        return None
    return None if text.startswith(REGEX) and text.removeprefix(REGEX) and not reason(text) else FORMS


def reason(text: str) -> str:
    """Return RE2's words for what is wrong with the expression in a pattern, or "" if nothing is."""
    return pattern_set.reason(text.removeprefix(REGEX)) if text.startswith(REGEX) else ""


def compiled(text: str) -> Pattern:
    """Return the compiled form of a pattern that has no ``problem``."""
    if text in _SETS:
        return _SETS[text]
    if text.startswith(QUERY):
        name = text.removeprefix(QUERY)
        expression = re2.compile(parameter(name), options(EXPRESSION_MEMORY))
        return Pattern(f"(?i){re2.escape(name)}=", partial(_matches, expression, 1))
    own = text.removeprefix(REGEX)
    return Pattern(without_anchors(own), partial(_matches, re2.compile(own, options(EXPRESSION_MEMORY)), 0))


def _matches(expression: re2._Regexp, group: int, text: str) -> Iterator[Places]:
    for found in expression.finditer(text):
        begin, end = found.span(group)
        if begin < end:
            yield begin, end


def without_anchors(expression: str) -> str:
    r"""Return an expression without ``^``, ``$``, ``\A`` and ``\z``, which matches also in the middle of a text.

    Where the expression's letters do not show that, the result is one that matches everywhere.
    """
    kept: list[str] = []
    at, size = 0, len(expression)
    while at < size:
        character = expression[at]
        width = 1
        if character == "\\":
            width = 2
            if expression.startswith(("\\Q", "\\p", "\\P", "\\x"), at):
                width = _length_of_escape(expression, at)
            if expression[at : at + 2] in {"\\A", "\\z"}:
                at += 2
                continue
        elif character == "[":
            width = _length_of_class(expression, at)
        elif character in "^$":
            at += 1
            continue
        kept.append(expression[at : at + width])
        at += width
    found = "".join(kept)
    return found if found == expression or not pattern_set.reason(found) else _ANYTHING


def _length_of_escape(expression: str, at: int) -> int:
    if expression.startswith("\\Q", at):
        end = expression.find("\\E", at + 2)
        return (end + 2 if end >= 0 else len(expression)) - at
    if expression.startswith("{", at + 2):
        return expression.find("}", at) + 1 - at
    return 3


def _length_of_class(expression: str, at: int) -> int:
    end = at + 1
    if expression.startswith("^", end):
        end += 1
    if expression.startswith("]", end):
        end += 1
    while end < len(expression) and expression[end] != "]":
        if expression[end] == "\\":
            end += 2
        elif expression.startswith("[:", end):
            end = expression.find(":]", end) + 2
        else:
            end += 1
    return end + 1 - at
