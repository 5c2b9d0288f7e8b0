"""Cuts members out of a JSON text and parts out of a list, and leaves every other byte as it is.

There are two ways to cut. JSON without white space, as recorders write it, is decoded one level at a time and
encoded again, at the speed of C code. If that does not give back exactly the bytes that came, the scanner finds
where the members begin and end instead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from fsproxy.core.json.scanner import (
    NOWHERE,
    Member,
    Span,
    Steps,
    begin_of_json,
    end_of_value,
    members_of,
    name_at,
    name_of,
    skip_blank,
)

Edit = tuple[int, int, bytes]
"""The bytes between two places, and what replaces them."""

EVERYTHING = -1
"""As the last step: all members of the object."""
_Tree = dict[str | int, Any]
"""What to cut, by step: None for the member itself, a tree for what is inside it."""
_LEVELS = 8
"""Nested objects that the fast way cuts; each level is one more call in the interpreter's stack."""
_BLANKS = b" \t\r\n"
_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_write = msgspec.json.Encoder().encode


def splice(data: bytes, edits: Iterable[Edit]) -> bytes:
    """Return the data with edits applied. They do not overlap, or one is inside of another, which takes it along."""
    pieces: list[bytes] = []
    at = 0
    for start, end, instead in sorted(edits):
        if start < at:
            continue
        pieces += (data[at:start], instead)
        at = end
    pieces.append(data[at:])
    return b"".join(pieces)


def removals(spans: Sequence[Span], gone: Collection[int]) -> list[Edit]:
    """Return the edits that remove some parts of a list or object, each with exactly one comma.

    ``gone`` are places in ``spans``. A run of parts goes with the comma before it; at the beginning, where there is
    none, with the comma after it.
    """
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
    """Return a JSON document without some members. The document must have passed ``strict.parse``.

    A nested object that loses its last member is cut too, unless it is among ``kept``. An element of a list stays,
    as ``{}``, because its place in the list may mean something. Every byte is looked at once, at any depth.
    """
    tree = _tree_of(cuts)
    quickly = _cut_compactly(data, tree, kept, NOWHERE)
    if quickly is not None:
        return quickly
    # The scanner goes through the document from left to right. The stack holds the containers that it is in, so
    # depth costs no recursion.
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
        if steps[:-1] != above:  # most cuts are in the same object as the one before
            above = steps[:-1]
            branch = _branch_at(tree, above)
        if branch is not None:
            branch[steps[-1]] = None
    return tree


def _branch_at(tree: _Tree, above: Steps) -> _Tree | None:
    """Return the tree of what to cut inside a member, empty at first; None: the member itself is cut, or one above."""
    branch = tree
    for step in above:
        found: _Tree | None = branch.setdefault(step, {})
        if found is None:
            return None
        branch = found
    return branch


def _cut_compactly(data: bytes, tree: Mapping[Any, Any], kept: Collection[Steps], path: Steps) -> bytes | None:
    """Cut an object by decoding and encoding it; None: it has white space, lists to cut in, or too many levels."""
    if data[:1] != b"{" or len(path) > _LEVELS:
        return None
    if EVERYTHING in tree and data.endswith(b"}"):
        between = data[1:-1]
        before = len(between) - len(between.lstrip(_BLANKS))
        return b"{%b%b}" % (between[:before], between[max(before, len(between.rstrip(_BLANKS))) :])
    try:
        found = _read_members(data)
        if _write(found) != data:
            return None
    except (ValueError, RecursionError):
        return None
    for name, branch in tree.items():
        if branch is None or name not in found:
            found.pop(name, None)
            continue
        inside = _cut_compactly(bytes(found[name]), branch, kept, (*path, name))
        if inside is None:
            return None
        if inside == b"{}" and (*path, name) not in kept:
            del found[name]
        else:
            found[name] = msgspec.Raw(inside)
    return _write(found)


class _Container:
    """An object or list in which something is cut, while the scanner goes through its parts."""

    __slots__ = ("at", "before", "begin", "edits", "gone", "is_list", "path", "spans", "tree")

    def __init__(self, data: bytes, at: int, tree: _Tree, path: Steps, edits: list[Edit]) -> None:
        self.is_list = data[at : at + 1] == b"["
        self.at = at + 1
        """Where the next part begins; at last the place after the closing bracket."""
        self.begin = 0
        """Where the part begins that the scanner is in."""
        self.tree = tree
        self.path = path
        self.spans: list[Span] = []
        """The parts up to here."""
        self.gone: set[int] = set()
        """Which of them are cut."""
        self.edits = edits
        """The edits of the whole document."""
        self.before = len(edits)
        """How many of them precede this container; they stay if the container itself is cut."""

    def next_container(self, data: bytes) -> _Container | None:
        """Go through the parts up to the next one in which something is cut; None: there are no more."""
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
        self.gone = {index for index, each in enumerate(members) if EVERYTHING in tree or name_of(data, each) in tree}

    def take(self, inner: _Container, *, goes: bool) -> None:
        """Continue after a part in which something was cut. If the part ``goes`` itself, its own edits are void."""
        self.at = inner.at
        if goes and not self.is_list:
            self.gone.add(len(self.spans))
            del self.edits[inner.before :]
        self.spans.append((self.begin, self.at))

    def close(self, kept: Collection[Steps]) -> bool:
        """Add the edits of this container. Return whether no part is left, so that the container is cut as well."""
        self.edits += removals(self.spans, self.gone)
        return not self.is_list and len(self.gone) == len(self.spans) and self.path not in kept
