"""Deep JSON, cut into layers that together hold every name and every value."""

from __future__ import annotations

import re
from collections import Counter

import msgspec
import pytest

from fsproxy.core.json.layers import LEVELS, SLACK, layers_of


def chain(depth: int, mark: str = "") -> str:
    """So many levels, objects and lists in turn, each with something before and after the next one."""
    inner = f'{{"deepest{mark}":[]}}'
    for level in range(depth - 2, 0, -1):
        before, after = f'"b{mark}{level}"', f'"a{mark}{level}"'
        as_list, as_object = f"[{before},[1,{{}}],{inner},{after}]", f'{{{before}:[2],"n":{inner},{after}:3}}'
        inner = as_list if level % 2 else as_object
    return inner


def depth_of(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r'"[^"]*"|([\[\]{}])', text):
        depth += {"": 0, "[": 1, "{": 1}.get(bracket, -1)
        deepest = max(deepest, depth)
    return deepest


def held(texts: list[str]) -> Counter[str]:
    return Counter(re.findall(r'"[^"]*"|[0-9]+', " ".join(texts)))


@pytest.mark.parametrize(
    ("depth", "layers"),
    [
        (3, 1),
        (LEVELS, 1),
        (LEVELS + SLACK, 1),
        (LEVELS + SLACK + 3, 2),
        (2 * LEVELS, 2),
        (2 * LEVELS + SLACK, 2),
        (2 * LEVELS + SLACK + 3, 3),
        (5 * LEVELS, 5),
    ],
)
def test_a_layer_is_made_where_a_value_reaches_well_below_a_boundary(depth: int, layers: int) -> None:
    text = chain(depth)
    assert depth_of(text) == depth
    found = list(layers_of(text))
    assert len(found) == layers
    assert max(map(depth_of, found)) <= LEVELS + SLACK + 2
    assert held(found) == held([text])
    for each in found:
        msgspec.json.decode(each)


@pytest.mark.parametrize("text", ["{}", "[1]", ' {"a": "]}"} ', '{"a":[{"b":{"c":[[]]}}],"d":"\\"["}', "1", '"a"'])
def test_what_is_not_deep_is_one_layer_as_it_is(text: str) -> None:
    assert list(layers_of(text)) == [text]


def test_several_deep_values_have_layers_of_their_own() -> None:
    texts = [chain(700, "x"), chain(600, "y"), '"between"', chain(1_300, "z"), chain(20, "w"), chain(640, "v")]
    found = list(layers_of(f"[{','.join(texts)}]"))
    assert held(found) == held(texts)
    assert max(map(depth_of, found)) <= LEVELS + SLACK + 2
    assert found[-1].startswith("[[")
    assert '"between"' in found[-1]
    for each in found:
        msgspec.json.decode(each)
    assert len(found) == 1 + 1 + 2 + 1


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_an_empty_value_of_its_kind_takes_the_place_of_one_that_has_a_layer(begin: str, end: str) -> None:
    found = list(layers_of(begin * 3 * LEVELS + "7" + end * 3 * LEVELS))
    outer = begin * LEVELS + begin[0] + end + end * LEVELS
    assert found == [begin * LEVELS + "7" + end * LEVELS, outer, outer]


@pytest.mark.parametrize(
    "text",
    ["[", "]", "{}}", "[[]", '"', '{"a":"}', '"a"]', "[" * 700 + "]" * 699, "[" * 700 + "]" * 701, "[" * 1_300],
)
def test_brackets_and_quotes_must_fit(text: str) -> None:
    with pytest.raises(ValueError, match="brackets"):
        list(layers_of(text))
