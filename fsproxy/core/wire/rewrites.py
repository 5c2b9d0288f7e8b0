r"""Rewrites a request's path on its way up: which part of it is replaced, and by what (rules.md 4).

A rule's pattern is a path's beginning (``/relay/``), or ``regex:`` and an expression in RE2's syntax. What it matches
first is replaced; the rest of the path and the query stay as they came. The replacement is a path or a whole URL, with
``\1`` for what a group matched and ``\0`` for all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import re2

from fsproxy.core.matching.pattern_set import EXPRESSION_MEMORY, REGEX, options

_REFERENCE = re.compile(r"\\(?:([0-9])|(\\)|(.?))", re.DOTALL)
_TARGET = re.compile(r"(https?://[^/\\?#@\s<>\"]+(?=/|\Z))?([^?#\s]*)")
"""A whole URL's host holds no reference, so that it is known beforehand where requests go."""
PATTERN = "the beginning of a path, such as /relay/, or regex: and an expression in RE2's syntax (no look-around)"
REPLACEMENT = r"a path, or http(s)://HOST and a path, without ? and #; \1 for what a group matched, \\ for a backslash"


def pattern_problem(text: str) -> str | None:
    """Return what a pattern must be, or None if this is one."""
    try:
        _compiled(text)
    except ValueError:
        return PATTERN
    return None


def target_problem(text: str) -> str | None:
    """Return what a replacement must be, or None if this is one. How many groups there are is not looked at."""
    found = _TARGET.fullmatch(text)
    if found is None or "://" in found[2] or any(each[3] is not None for each in _REFERENCE.finditer(text)):
        return REPLACEMENT
    try:
        return REPLACEMENT if found[1] and urlsplit(found[1]).port == 0 else None
    except ValueError:
        return REPLACEMENT


def groups_beyond(pattern: str, target: str) -> int | None:
    """Return the first group to which a replacement refers and that its pattern lacks; None if it has all."""
    count = _compiled(pattern).groups
    wanted = (int(found[1]) for found in _REFERENCE.finditer(target) if found[1] is not None)
    return next((number for number in wanted if number > count), None)


def _compiled(text: str) -> Any:
    """Return the expression of a pattern, which reads bytes one by one. Raise ValueError if it is none."""
    if not text.startswith(REGEX):
        if not text.startswith("/") or any(each in text for each in "?# "):
            raise ValueError
        expression = "^" + re2.escape(text)
    else:
        expression = text.removeprefix(REGEX)
    try:
        chosen = options(EXPRESSION_MEMORY)
        chosen.encoding = re2.Options.Encoding.LATIN1
        return re2.compile(expression.encode("utf-8"), chosen)
    except (re2.error, UnicodeError):
        raise ValueError from None


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One rule, compiled."""

    find: Any
    """Returns the first match in the path's bytes."""
    parts: tuple[bytes | int, ...]
    """Of the new path: texts, and the numbers of groups."""
    url: str
    """The scheme and the host of a replacement that is a whole URL; else ""."""

    @classmethod
    def compile(cls, pattern: str, target: str) -> Self:
        """Compile a pattern and a replacement. Raise ValueError where they have a problem."""
        found = _TARGET.fullmatch(target)
        if found is None or groups_beyond(pattern, target) is not None:
            raise ValueError(REPLACEMENT)
        compiled, path = _compiled(pattern), found[2]
        parts: list[bytes | int] = []
        end = 0
        for each in _REFERENCE.finditer(path):
            parts.append(path[end : each.start()].encode("utf-8", "surrogateescape"))
            parts.append(int(each[1]) if each[1] is not None else b"\\")
            end = each.end()
        parts.append(path[end:].encode("utf-8", "surrogateescape"))
        # In place of a URL there is no room for what precedes the match.
        return cls(compiled.match if found[1] else compiled.search, tuple(parts), found[1] or "")

    def apply(self, path: str) -> str | None:
        """Return the new path; None where the pattern does not match."""
        raw = path.encode("utf-8", "surrogateescape")
        found = self.find(raw)
        if found is None:
            return None
        new = b"".join(part if isinstance(part, bytes) else found.group(part) or b"" for part in self.parts)
        made = raw[: found.start()] + new + raw[found.end() :]
        return ("" if made[:1] == b"/" else "/") + made.decode("utf-8", "surrogateescape")


def first_rewritten(rewrites: tuple[Rewrite, ...], path: str) -> tuple[Rewrite, str] | None:
    """Return the first rule that matches a path, and the new path; None where none matches."""
    for rewrite in rewrites:
        new = rewrite.apply(path)
        if new is not None:
            return rewrite, new
    return None
