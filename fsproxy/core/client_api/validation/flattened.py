"""The entries of a schema that are written as dotted paths: ``"location.code": "int"`` (rules.md 2)."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from fsproxy.core.json.scanner import Steps

Place = tuple[Steps, object]
"""Where an entry stands in its document, and what it says."""


class FlattenedEntries:
    """Entries by the path of the property that they are about; lists of objects have one for all their elements.

    ``longest`` is the length of a name that can be kept: of longer paths the first characters alone are compared.
    """

    __slots__ = ("_entries", "_length", "_paths")

    def __init__(self, schema: dict[str, Any], at: Steps, longest: int) -> None:
        self._length = longest + 1
        self._entries: dict[str, list[Place]] = {}
        self._paths: list[str] = []
        found: list[tuple[Any, str, Steps, bool]] = [(schema, "", at, False)]
        while found:
            holder, path, steps, is_flattened = found.pop()
            if type(holder) is list:
                found += [(each, path, (*steps, index), is_flattened) for index, each in enumerate(holder)]
                continue
            if type(holder) is not dict:
                continue
            for key, described in holder.items():
                flattened = is_flattened or "." in key
                below = f"{path}.{key}"[: self._length] if path else key[: self._length]
                if flattened:
                    self._entries.setdefault(below, []).append(((*steps, key), described))
                if type(described) in (dict, list):
                    found.append((described, below, (*steps, key), flattened))

    def __bool__(self) -> bool:
        return bool(self._entries)

    def at(self, path: str) -> list[Place]:
        """Return the entries for exactly this path."""
        return self._entries.get(path[: self._length], [])

    def under(self, path: str) -> list[Steps]:
        """Return where the entries stand for this path and for everything in the object there."""
        if not self._paths:
            self._paths = sorted(self._entries)
        first, last = (bisect_left(self._paths, path[: self._length] + end) for end in "./")
        inside = [steps for each in self._paths[first:last] for steps, _ in self._entries[each]]
        return [*(steps for steps, _ in self.at(path)), *inside]


NO_ENTRIES = FlattenedEntries({}, (), 0)
"""What a schema has in which every entry is nested."""
