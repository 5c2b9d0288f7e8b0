"""Takes members out of a JSON text and elements out of a list, and leaves every other byte as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from fsproxy.core.client_api.calls import NOWHERE, Steps
from fsproxy.core.client_api.scanner import Span, elements_of, members_of, name_of, skip_blank

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
    list stays as ``{}``, because its place in the list may mean something.
    """
    tree: _Tree = {}
    for steps in cuts:
        branch = tree
        for step in steps[:-1]:
            branch = branch.setdefault(step, {})
        branch[steps[-1]] = None
    edits: list[Edit] = []
    _cut_object(data, skip_blank(data, 0), tree, NOWHERE, kept, edits)
    return splice(data, edits)


def _cut_object(data: bytes, at: int, tree: _Tree, path: Steps, kept: Collection[Steps], edits: list[Edit]) -> bool:
    """Collect the edits inside one object; True when none of its members is left and it may go itself."""
    members, _ = members_of(data, at)
    gone: set[int] = set()
    for index, member in enumerate(members):
        name = name_of(data, member)
        if name is None or name not in tree:
            continue
        branch = tree[name]
        inside: list[Edit] = []
        if branch is None or _cut_value(data, member.value_start, branch, (*path, name), kept, inside):
            gone.add(index)
        else:
            edits += inside
    edits += removals([(member.start, member.end) for member in members], gone)
    return len(gone) == len(members) and path not in kept


def _cut_value(data: bytes, at: int, tree: _Tree, path: Steps, kept: Collection[Steps], edits: list[Edit]) -> bool:
    if data[at : at + 1] == b"{":
        return _cut_object(data, at, tree, path, kept, edits)
    for index, (start, _) in enumerate(elements_of(data, at)[0]):
        if index in tree:
            _cut_object(data, start, tree[index], (*path, index), kept, edits)
    return False
