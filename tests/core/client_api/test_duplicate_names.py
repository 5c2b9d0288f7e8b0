"""A name given twice is found, however the two are written: two readers could take either (rules.md 2)."""

from __future__ import annotations

import pytest

from fsproxy.core.json.strict import Fault, parse_object


@pytest.mark.parametrize("space", ["", " ", "\t", "\n", "\r", "\r\n", " \t "])
@pytest.mark.parametrize("name", ["a", "\\u0061", "a:", '\\"'])
def test_with_any_white_space_before_the_second_colon(space: str, name: str) -> None:
    first = {"\\u0061": "a"}.get(name, name)
    text = f'{{"{first}":1,"{name}"{space}:2}}'
    assert parse_object(text) is Fault.DUPLICATE
    assert parse_object(text.encode()) is Fault.DUPLICATE
    single = f'{{"{first}":1,"b"{space}:2}}'
    assert isinstance(parse_object(single), dict)
    assert isinstance(parse_object(single.encode()), dict)


@pytest.mark.parametrize("space", ["", " ", "\t", "\n", "\r"])
def test_what_only_looks_like_a_name_is_none(space: str) -> None:
    text = f'{{"a"{space}:"\\"a\\":","b"{space}:["c:","\\":"]}}'
    assert isinstance(parse_object(text), dict)
    assert isinstance(parse_object(text.encode()), dict)
