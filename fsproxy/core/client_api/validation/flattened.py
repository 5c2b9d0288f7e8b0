"""The flattened entries of a schema, which are written as dotted paths: ``"location.code": "int"`` (rules.md 2)."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from fsproxy.core.json.scanner import Steps

Place = tuple[Steps, object]
"""Where an entry is in its document, and the type or whatever else it gives."""


class FlattenedEntries:
    """The entries of one schema, by the path of the property that they describe.

    All elements of a list of objects have the same paths. ``longest`` is the length of the longest valid name: of
    longer paths only the first characters are kept, so that long paths cost no memory.
    """

    __slots__ = ("_entries", "_length", "_paths")

    def __init__(self, schema: dict[str, Any], at: Steps, longest: int) -> None:
        self._length = longest + 1
        self._entries: dict[str, list[Place]] = {}
        self._paths: list[str] = []
        found: list[tuple[Any, str, Steps, bool]] = [(schema, "", at, False)]
        while found:
            # A stack instead of recursion, as a schema may be deep. What is below a dotted name is flattened too.
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
        """Return where the entries are for this path and for everything below it."""
        if not self._paths:
            self._paths = sorted(self._entries)
        # In sorted order, the paths below ``a`` are those from ``a.`` up to ``a/``, as the slash follows the dot.
        first, last = (bisect_left(self._paths, path[: self._length] + end) for end in "./")
        inside = [steps for each in self._paths[first:last] for steps, _ in self._entries[each]]
        return [*(steps for steps, _ in self.at(path)), *inside]


NO_ENTRIES = FlattenedEntries({}, (), 0)
"""The entries of a schema that has no flattened ones."""
