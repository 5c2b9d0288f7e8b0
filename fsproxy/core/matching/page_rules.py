"""Finds the first of ordered rules by a page's host, its path and the time (rules.md 7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Self

from fsproxy.core.matching.domains import DomainPattern, DomainTable
from fsproxy.core.matching.hosts import Url
from fsproxy.core.matching.paths import expression, path_of
from fsproxy.core.matching.pattern_set import PatternSet

_ANY = -1
"""The number of the path that every page has, as the rule names none."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a page must be for a rule to be about it."""

    host: DomainPattern | None
    """None matches nothing."""
    path: str | None = None
    """A glob; None: any path."""
    until: float | None = None
    """The Unix time from which on the rule is skipped; None: never."""


@dataclass(frozen=True, slots=True)
class PageRules:
    """Finds a rule at a cost that does not grow with the number of rules: by the hosts and paths that match."""

    table: DomainTable
    globs: PatternSet
    on_pages: Mapping[tuple[str, int], tuple[int, ...]]
    """By the host's key and the path's number: the rules, in order."""
    by_host: Mapping[str, tuple[int, ...]]
    """By the host's key alone: the rules, in order."""
    ends: tuple[float, ...]
    """By rule: the time from which on it is skipped."""
    with_path: frozenset[int]
    """The rules that have a path."""

    @classmethod
    def of(cls, conditions: Sequence[Condition]) -> Self:
        """Return what finds the first of these conditions."""
        paths = {path: number for number, path in enumerate(dict.fromkeys(c.path for c in conditions if c.path))}
        on_pages: dict[tuple[str, int], list[int]] = {}
        by_host: dict[str, list[int]] = {}
        for index, each in enumerate(conditions):
            if each.host is not None:
                number = _ANY if each.path is None else paths[each.path]
                on_pages.setdefault((each.host.key, number), []).append(index)
                by_host.setdefault(each.host.key, []).append(index)
        return cls(
            DomainTable.of(each.host for each in conditions),
            PatternSet.of([expression(path) for path in paths]),
            {key: tuple(found) for key, found in on_pages.items()},
            {key: tuple(found) for key, found in by_host.items()},
            tuple(inf if each.until is None else each.until for each in conditions),
            frozenset(index for index, each in enumerate(conditions) if each.path is not None),
        )

    def find(self, url: Url, text: str, now: float) -> int | None:
        """Return the index of the first condition that a page meets. ``text``: its URL, of which ``url`` are parts."""
        keys = (url.host, *self.table.other_keys(url))
        numbers = [_ANY]
        if self.globs.count and any(key in self.by_host for key in keys):
            numbers += self.globs.all(path_of(text).encode("utf-8", "replace"))
        return self._first((self.on_pages.get((key, number), ()) for key in keys for number in numbers), now)

    def find_by_host(self, url: Url, now: float) -> int | None:
        """Return the index of the first condition whose host matches, whatever its path."""
        keys = (url.host, *self.table.other_keys(url))
        return self._first((self.by_host.get(key, ()) for key in keys), now)

    def _first(self, found: Iterable[tuple[int, ...]], now: float) -> int | None:
        """Return the lowest of the indexes, each tuple of which is in order, that is not over by now."""
        ends = self.ends
        firsts = (next((index for index in indexes if now < ends[index]), None) for indexes in found)
        return min((index for index in firsts if index is not None), default=None)
