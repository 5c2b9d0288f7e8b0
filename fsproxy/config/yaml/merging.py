"""Merge keys: ``<<: *NAME`` adds what a mapping has to the one that it is in."""

from __future__ import annotations

from collections.abc import Callable

import yaml

from fsproxy.config.yaml.text import joined

MERGE = "<<"
Pair = tuple[yaml.ScalarNode, yaml.Node]
"""A key and its value, both where they are written."""
_On = Callable[[yaml.Node, str], None]


def is_merge(key: yaml.ScalarNode) -> bool:
    """Return whether this is a merge key. In quotes it is a key like any other."""
    return bool(key.value == MERGE and not key.style)


class Merges:
    """The merges of one document.

    ``on_fault`` is given what cannot be merged, with the path of the mapping that would take it. ``on_pair`` is given
    a node for each pair that is looked at; by raising it bounds how often pairs are repeated.
    """

    def __init__(self, on_fault: _On, on_pair: _On) -> None:
        self._on_fault, self._on_pair = on_fault, on_pair
        self._known: dict[int, dict[str, Pair]] = {}
        self._open: set[int] = set()

    def added(self, merged: yaml.Node | None, path: str) -> dict[str, Pair]:
        """Return the pairs that a merge key with this value adds; the first of several sources wins."""
        found: dict[str, Pair] = {}
        sources = merged.value if isinstance(merged, yaml.SequenceNode) else [merged] if merged is not None else []
        for source in reversed(sources):
            if isinstance(source, yaml.MappingNode) and id(source) not in self._open:
                found |= self._pairs(source, path)
            else:
                self._on_fault(source, path)
        return found

    def _pairs(self, node: yaml.MappingNode, path: str) -> dict[str, Pair]:
        """Return what a mapping has, with what is merged into it. Its faults are found where it is written."""
        found = self._known.get(id(node))
        if found is None:
            self._open.add(id(node))
            pairs = [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
            merged = next((value for key, value in pairs if is_merge(key)), None)
            own = {joined(key.value): (key, value) for key, value in reversed(pairs) if not is_merge(key)}
            found = self._known[id(node)] = self.added(merged, path) | own
            self._open.discard(id(node))
        for _ in found:
            self._on_pair(node, path)
        return found
