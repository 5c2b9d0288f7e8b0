"""Members and elements that go, and all other bytes that stay."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.client_api.calls import Steps
from fsproxy.core.client_api.cutting import cut_members, removals, splice
from fsproxy.core.client_api.scanner import elements_of


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        ([0], b"[ 2 ,3]"),
        ([1], b"[ 1 ,3]"),
        ([2], b"[ 1 ,  2]"),
        ([0, 1], b"[ 3]"),
        ([1, 2], b"[ 1]"),
        ([0, 2], b"[ 2]"),
        ([0, 1, 2], b"[ ]"),
        ([], b"[ 1 ,  2 ,3]"),
    ],
)
def test_each_part_goes_with_one_comma(gone: list[int], left: bytes) -> None:
    text = b"[ 1 ,  2 ,3]"
    assert splice(text, removals(elements_of(text, 0)[0], gone)) == left


@pytest.mark.parametrize(
    ("text", "cuts", "left"),
    [
        ('{"a":1,"b":2}', [("a",)], '{"b":2}'),
        ('{"a":1,"b":2}', [("b",)], '{"a":1}'),
        ('{"a":1,"b":2}', [("a",), ("b",)], "{}"),
        ('{ "a" : 1.50 , "b":1E3 ,"c":{} }', [("b",)], '{ "a" : 1.50 ,"c":{} }'),
        ('{"o":{"a":1,"b":2},"c":3}', [("o", "a")], '{"o":{"b":2},"c":3}'),
        ('{"o":{"a":1},"c":3}', [("o", "a")], '{"c":3}'),
        ('{"o":{"p":{"a":1}}}', [("o", "p", "a")], "{}"),
        ('{"o":{"p":{"a":1},"q":{}},"c":3}', [("o", "p", "a")], '{"o":{"q":{}},"c":3}'),
        ('{"l":[{"a":1,"b":2},{"a":1}]}', [("l", 0, "b"), ("l", 1, "a")], '{"l":[{"a":1},{}]}'),
        ('{"\\u0061":1,"b":2}', [("a",)], '{"b":2}'),
    ],
)
def test_members_go_and_objects_left_empty_by_it(text: str, cuts: list[Steps], left: str) -> None:
    assert cut_members(text.encode(), cuts) == left.encode()


def test_kept_objects_stay_when_empty() -> None:
    text = b'{"name":"E","properties":{"o":{"a":1}}}'
    assert cut_members(text, [("properties", "o", "a")], {(), ("properties",)}) == b'{"name":"E","properties":{}}'


LEAVES = st.integers() | st.text(max_size=4) | st.lists(st.integers(), max_size=3)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.lists(st.dictionaries(st.text(max_size=3), inner, max_size=3), min_size=1, max_size=3)
    ),
    max_leaves=20,
)


def paths(value: Any, at: Steps = ()) -> list[Steps]:
    """Give the place of every member of every object."""
    found: list[Steps] = []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += [(*at, key), *paths(inner, (*at, key))]
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, dict):
                found += paths(inner, (*at, index))
    return found


def remove(value: Any, cuts: set[Steps], at: Steps = ()) -> Any:
    """Cut a tree the plain way."""
    if isinstance(value, list):
        return [remove(each, cuts, (*at, index)) for index, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    left = {}
    for key, inner in value.items():
        here = (*at, key)
        if here in cuts:
            continue
        cut = remove(inner, cuts, here)
        if not (isinstance(inner, dict) and inner and not cut):
            left[key] = cut
    return left


@settings(max_examples=150, deadline=None)
@given(
    tree=st.dictionaries(st.text(max_size=3), TREES, max_size=5),
    data=st.data(),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
def test_cutting_commutes_with_encoding(
    *, tree: dict[str, Any], data: st.DataObject, indent: int | None, ascii_only: bool
) -> None:
    cuts: list[Steps] = []
    for each in data.draw(st.lists(st.sampled_from(paths(tree) or [("none",)]), max_size=5, unique=True)):
        if not any(each[: len(other)] == other or other[: len(each)] == each for other in cuts):
            cuts.append(each)
    text = json.dumps(tree, indent=indent, ensure_ascii=ascii_only).encode()
    assert json.loads(cut_members(text, cuts)) == remove(copy.deepcopy(tree), set(cuts))
