"""The strict reader of a call's JSON (rules.md 2)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.json.layers import LEVELS
from fsproxy.core.json.strict import Fault, parse_object
from fsproxy.core.json.surrogates import with_stand_ins


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@pytest.mark.parametrize(
    "text", ["{}", " {\t}\r\n", '{"a":{"a":[{"a":1}]}}', '{"a":"\\ud83d\\ude00"}', '{"":":"}', '{"a" : "\\":"}']
)
def test_good_text_is_read(text: str) -> None:
    assert parse_object(text) == json.loads(text)
    assert parse_object(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.NOT_JSON),
        ("{", Fault.NOT_JSON),
        ("{}x", Fault.NOT_JSON),
        ("{'a':1}", Fault.NOT_JSON),
        ('{"a":1,}', Fault.NOT_JSON),
        ('{"a":NaN}', Fault.NOT_JSON),
        ('{"a":-Infinity}', Fault.NOT_JSON),
        ('{"a":01}', Fault.NOT_JSON),
        ("[]", Fault.NOT_OBJECT),
        ("null", Fault.NOT_OBJECT),
        ('"a"', Fault.NOT_OBJECT),
        ("5", Fault.NOT_OBJECT),
        ('{"a":1e309}', Fault.NUMBER),
        ('{"a":[-1e999]}', Fault.NUMBER),
        ('{"a":' + "9" * 309 + "}", Fault.NUMBER),
        ('{"a":-' + "9" * 9000 + "}", Fault.NUMBER),
        ('{"a":1,"a":1}', Fault.DUPLICATE),
        ('{"a":1,"\\u0061":1}', Fault.DUPLICATE),
        ('{"b":{"a" :1,"a" :"\\":"}}', Fault.DUPLICATE),
        ('{"a":' * 100_000, Fault.NOT_JSON),
        ('{"a":' + "[" * 100_000, Fault.NOT_JSON),
        ('{"a":' + "[" * 100_000 + "}" * 100_000 + "}", Fault.NOT_JSON),
        ('{"a":' + "[" * 100_000 + "1 2" + "]" * 100_000 + "}", Fault.NOT_JSON),
        ('{"a":' + "[" * 100_000 + "1e999" + "]" * 100_000 + "}", Fault.NUMBER),
        ('{"a":' * 5_000 + '{"b":1,"b":1}' + "}" * 5_000, Fault.DUPLICATE),
    ],
)
def test_each_fault_is_named(text: str, fault: Fault) -> None:
    assert parse_object(text) is fault
    assert parse_object(text.encode()) is fault


@pytest.mark.parametrize("raw", [b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}', b'{"\xc3":1}', b'\xff{"a":1}'])
def test_bytes_that_are_not_utf8_are_a_fault(raw: bytes) -> None:
    assert parse_object(raw) is Fault.NOT_UTF8


@pytest.mark.parametrize("depth", [64, 65, 520, 628, 629, 700, 1_000, 100_000])
def test_any_depth_is_read(depth: int) -> None:
    assert isinstance(parse_object(nested(depth)), dict)
    assert isinstance(parse_object('{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"), dict)


@pytest.mark.parametrize("depth", [5, 600, 3_000])
def test_what_is_beside_a_deep_value_is_read_as_ever(depth: int) -> None:
    found = parse_object('{"b":"]","deep":' + nested(depth) + ',"c":[{"d":1},[2]]}')
    assert isinstance(found, dict)
    assert (found["b"], found["c"]) == ("]", [{"d": 1}, [2]])
    level, reached = found["deep"], 0
    while level not in (1, {}):
        level, reached = level["a"], reached + 1
    assert reached >= min(depth, LEVELS - 1)


def test_a_byte_order_mark_is_skipped_before_bytes_alone() -> None:
    assert parse_object(b'\xef\xbb\xbf {"a":1}') == {"a": 1}
    assert parse_object(b'\xef\xbb\xbf\xef\xbb\xbf{"a":1}') is Fault.NOT_JSON
    assert parse_object(b' \xef\xbb\xbf{"a":1}') is Fault.NOT_JSON
    assert parse_object('\ufeff{"a":1}') is Fault.NOT_JSON


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"Ann \ud83d"', "Ann \ue83d"),
        (r'"\ude00"', "\uee00"),
        (r'"\uD83D\ude00"', "\U0001f600"),
        (r'"\ud83d\ud83d\ude00"', "\ue83d\U0001f600"),
        (r'"\ud83d\ude00\ude00"', "\U0001f600\uee00"),
        (r'"\\ud83d \ud83d"', "\\ud83d \ue83d"),
        (r'"\\\ud83d"', "\\\ue83d"),
        (r'"\ud83d\u0041"', "\ue83dA"),
    ],
)
def test_half_a_character_is_one_character_of_three_bytes(text: str, value: str) -> None:
    assert parse_object(f'{{"a":{text}}}') == {"a": value}
    assert parse_object(f'{{"a":{text}}}'.encode()) == {"a": value}
    assert parse_object(f"{{{text}:1}}") == {value: 1}


def test_halves_that_differ_make_names_that_differ() -> None:
    assert parse_object(r'{"\ud83d":1,"\ud83e":2}') == {"\ue83d": 1, "\ue83e": 2}
    assert parse_object(r'{"\ud83d":1,"\uD83D":2}') is Fault.DUPLICATE


def test_the_largest_double_is_inside_the_range() -> None:
    assert isinstance(parse_object('{"a":1.7976931348623157e308,"b":-' + str(int(1.7976931348623157e308)) + "}"), dict)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150)
@given(
    value=st.dictionaries(st.text(max_size=6), JSON_VALUES, max_size=5),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
def test_whatever_an_encoder_writes_is_read_back(
    *, value: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert parse_object(text) == value
    assert parse_object(text.encode()) == value


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0aeE+-.19dD8 tfnl', max_size=60).map(str.encode))
def test_any_bytes_are_an_object_or_a_fault(raw: bytes) -> None:
    found = parse_object(raw)
    if isinstance(found, dict):
        assert repr(found) == repr(json.loads(with_stand_ins(raw.decode())))


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError
    return dict(pairs)


@settings(max_examples=200)
@given(
    st.recursive(
        st.sampled_from(["1", '":"', '"\\":"', '"\\\\"', "[]"]),
        lambda inner: st.lists(st.tuples(st.sampled_from(['"a"', '"b"', '":"', '"a" ']), inner), max_size=4).map(
            lambda pairs: "{" + ",".join(f"{name}:{value}" for name, value in pairs) + "}"
        ),
        max_leaves=12,
    ).map(lambda inner: '{"r":' + inner + "}")
)
def test_a_name_given_twice_is_found_wherever_it_stands(text: str) -> None:
    try:
        json.loads(text, object_pairs_hook=_refuse_duplicates)
    except ValueError:
        assert parse_object(text) is Fault.DUPLICATE
    else:
        assert isinstance(parse_object(text), dict)
