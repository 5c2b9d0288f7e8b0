"""Takes members out of a JSON text and elements out of a list, and leaves every other byte as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from fsproxy.core.client_api.calls import NOWHERE, Steps
from fsproxy.core.json.compact import cut_compactly
from fsproxy.core.json.scanner import (
    Member,
    Span,
    begin_of_json,
    end_of_value,
    members_of,
    name_at,
    name_of,
    skip_blank,
)

Edit = tuple[int, int, bytes]
"""The bytes between two places, and what stands there instead."""

_Tree = dict[str | int, Any]
"""What is to go, by step: None for the member itself, a tree for what is inside it."""


def splice(data: bytes, edits: Iterable[Edit]) -> bytes:
    """Apply edits that do not overlap."""
    pieces: list[bytes] = []
    at = 0
    for start, end, instead in sorted(edits):
        pieces += (data[at:start], instead)
        at = end
    pieces.append(data[at:])
    return b"".join(pieces)


def removals(spans: Sequence[Span], gone: Collection[int]) -> list[Edit]:
    """Say which bytes go when some of the parts of a list or object go: each with one comma, and no more."""
    edits: list[Edit] = []
    last_kept: int | None = None
    index, count = 0, len(spans)
    while index < count:
        if index not in gone:
            last_kept = index
            index += 1
            continue
        first = index
        while index < count and index in gone:
            index += 1
        if last_kept is not None:
            edits.append((spans[last_kept][1], spans[index - 1][1], b""))
        elif index < count:
            edits.append((spans[first][0], spans[index][0], b""))
        else:
            edits.append((spans[first][0], spans[-1][1], b""))
    return edits


def cut_members(data: bytes, cuts: Iterable[Steps], kept: Collection[Steps] = (NOWHERE,)) -> bytes:
    """Take members out of a JSON document that was read strictly before.

    A nested object that loses its last member goes too, unless it is among ``kept``; an element of a
    list stays as ``{}``, because its place in the list may mean something. Every byte is looked at once,
    however deep it lies.
    """
    tree = _tree_of(cuts)
    quickly = cut_compactly(data, tree, kept)
    if quickly is not None:
        return quickly
    edits: list[Edit] = []
    stack = [_Container(data, begin_of_json(data), tree, NOWHERE, edits)]
    while True:
        inside = stack[-1]
        deeper = inside.next_container(data)
        if deeper is not None:
            stack.append(deeper)
            continue
        stack.pop()
        goes = inside.close(kept)
        if not stack:
            return splice(data, edits)
        stack[-1].take(inside, goes=goes)


def _tree_of(cuts: Iterable[Steps]) -> _Tree:
    tree: _Tree = {}
    above: Steps = NOWHERE
    branch: _Tree | None = tree
    for steps in cuts:
        if steps[:-1] != above:  # most stand beside the one before
            above = steps[:-1]
            branch = _branch_at(tree, above)
        if branch is not None:
            branch[steps[-1]] = None
    return tree


def _branch_at(tree: _Tree, above: Steps) -> _Tree | None:
    """Give what goes inside a member, empty at first; None: the member goes itself, or what it is in."""
    branch = tree
    for step in above:
        found: _Tree | None = branch.setdefault(step, {})
        if found is None:
            return None
        branch = found
    return branch


class _Container:
    """An object or list of which something is to be cut, while its parts are looked at."""

    __slots__ = ("at", "before", "begin", "edits", "gone", "is_list", "path", "spans", "tree")

    def __init__(self, data: bytes, at: int, tree: _Tree, path: Steps, edits: list[Edit]) -> None:
        self.is_list = data[at : at + 1] == b"["
        self.at = at + 1
        """Where the next part begins; in the end the place after the bracket."""
        self.begin = 0
        """Where the part begins that is being looked at."""
        self.tree = tree
        self.path = path
        self.spans: list[Span] = []
        self.gone: set[int] = set()
        self.edits = edits
        """Of the whole document."""
        self.before = len(edits)
        """Those that are not about this."""

    def next_container(self, data: bytes) -> _Container | None:
        """Go through the parts up to one in which something is to be cut; None: there is no other."""
        if not self.is_list and not any(self.tree.values()):
            self._read_members(data)
            return None
        while True:
            at = skip_blank(data, self.at)
            if self.spans:
                if data[at : at + 1] != b",":
                    self.at = at + 1
                    return None
                at += 1
            elif data[at : at + 1] in (b"]", b"}"):
                self.at = at + 1
                return None
            step: str | int | None
            if self.is_list:
                self.begin = value = skip_blank(data, at)
                step = len(self.spans)
            else:
                self.begin, name_end, value = name_at(data, at)
                step = name_of(data, Member(self.begin, name_end, value, value))
            branch = self.tree.get(step, {}) if step is not None else {}
            if step is not None and branch and data[value : value + 1] in (b"{", b"["):
                return _Container(data, value, branch, (*self.path, step), self.edits)
            self.at = end_of_value(data, value)
            if branch is None:
                self.gone.add(len(self.spans))
            self.spans.append((self.begin, self.at))

    def _read_members(self, data: bytes) -> None:
        """Go through an object of which only whole members are cut."""
        members, self.at = members_of(data, self.at - 1)
        tree = self.tree
        self.spans = [(each.start, each.end) for each in members]
        self.gone = {index for index, each in enumerate(members) if name_of(data, each) in tree}

    def take(self, inner: _Container, *, goes: bool) -> None:
        """Go on after a part in which something was cut."""
        self.at = inner.at
        if goes and not self.is_list:
            self.gone.add(len(self.spans))
            del self.edits[inner.before :]
        self.spans.append((self.begin, self.at))

    def close(self, kept: Collection[Steps]) -> bool:
        """Collect the edits; tell whether no part is left, so that all of it may go."""
        self.edits += removals(self.spans, self.gone)
        return not self.is_list and len(self.gone) == len(self.spans) and self.path not in kept
