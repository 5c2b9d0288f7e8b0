"""Members and elements that go, and all other bytes that stay."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.json.cutting import EVERYTHING, cut_members, removals, splice
from fsproxy.core.json.scanner import Steps, elements_of, end_of_value


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


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"name":"E","o":{"a":1,"b":{"c":[]}}}', '{"name":"E","o":{}}'),
        ('{"name":"E","o":{ "a":1, "b":2\n}}', '{"name":"E","o":{ \n}}'),
        ('{ "name":"E","o":{ "a":1, "b":2\n} }', '{ "name":"E","o":{ \n} }'),
        ('{"name":"E","o":{ }}', '{"name":"E","o":{ }}'),
    ],
)
def test_everything_in_an_object_goes_at_once(text: str, left: str) -> None:
    assert cut_members(text.encode(), [("o", EVERYTHING)], {(), ("o",)}) == left.encode()


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


@settings(max_examples=150)
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


@settings(max_examples=150)
@given(tree=st.dictionaries(st.text(max_size=3), TREES, max_size=5), data=st.data(), kept=st.booleans())
def test_a_text_without_white_space_is_cut_as_any_other(
    *, tree: dict[str, Any], data: st.DataObject, kept: bool
) -> None:
    """The quick way and the scanner's leave the same."""
    cuts = data.draw(st.lists(st.sampled_from(paths(tree) or [("none",)]), max_size=5, unique=True))
    stays = {(), *(steps[:-1] for steps in cuts)} if kept else {()}
    dense = json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode()
    spaced = json.dumps(tree, ensure_ascii=False).encode()
    assert json.loads(cut_members(dense, cuts, stays)) == json.loads(cut_members(spaced, cuts, stays))


@pytest.mark.parametrize("indent", [None, 1])
def test_an_object_with_an_empty_name_is_kept_when_it_is_to_be(indent: int | None) -> None:
    text = json.dumps({"": {"": 0, "0": 0}}, indent=indent).encode()
    assert json.loads(cut_members(text, [("", ""), ("", "0")], {(), ("",)})) == {"": {}}


@pytest.mark.parametrize("space", ["", " "])
def test_what_lies_deep_is_looked_at_a_few_times_at_most(monkeypatch: pytest.MonkeyPatch, space: str) -> None:
    """Not once for each object around it: 250 of them would be 250 times the work."""
    looked_at = 0

    def counted(data: bytes, at: int) -> int:
        nonlocal looked_at
        end = end_of_value(data, at)
        looked_at += end - at
        return end

    def decoded(data: bytes) -> dict[str, msgspec.Raw]:
        nonlocal looked_at
        looked_at += len(data)
        return msgspec.json.decode(data, type=dict[str, msgspec.Raw])

    monkeypatch.setattr("fsproxy.core.json.cutting.end_of_value", counted)
    monkeypatch.setattr("fsproxy.core.json.cutting._read_members", decoded)
    depth, filler = 250, "x" * 10_000
    text = f'{{"a":{space}' * depth + f'{{"b":1,{space}"c":"{filler}","d":2}}' + "}" * depth
    steps = ("a",) * depth
    left = cut_members(text.encode(), [(*steps, "b"), (*steps, "d")])
    assert left == text.replace(f'"b":1,{space}', "").replace(',"d":2', "").encode()
    assert looked_at <= 10 * len(text)


def test_a_cut_within_what_is_cut_is_no_other_cut() -> None:
    for cuts in ([("o",), ("o", "a")], [("o", "a"), ("o",)]):
        assert cut_members(b'{"o":{"a":1,"b":2},"c":3}', cuts) == b'{"c":3}'
