"""Where members and elements begin and end, whatever is in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.json.scanner import ScanError, elements_of, end_of_value, members_of, name_of, skip_blank

DEEP = b"[" * 50_000 + b'{"a":"]"}' + b"]" * 50_000


@pytest.mark.parametrize(
    "value",
    [
        b"1",
        b"-1.50E+3",
        b"1e999",
        b"NaN",
        b"null",
        b'""',
        b'"\\""',
        b'"\\\\"',
        b'"]}{["',
        b'"\\ud800"',
        b'"\xff"',
        b'"\n"',
        b"{}",
        b"[ ]",
        b'{"a" : [1 , {"b":"}"}]}',
        b"[[[[[[[[[[[[1]]]]]]]]]]]]",
        DEEP,
    ],
)
def test_a_value_is_skipped_whatever_it_is(value: bytes) -> None:
    assert end_of_value(b"x" + value + b",", 1) == len(value) + 1
    text = b"[ " + value + b" ,\t" + value + b"]rest"
    spans, end = elements_of(text, 0)
    assert [text[a:b] for a, b in spans] == [value, value]
    assert text[end:] == b"rest"
    text = b'{"a":' + value + b' , "\\u0062" :' + value + b" }rest"
    members, end = members_of(text, 0)
    assert [(name_of(text, each), text[each.value_start : each.end]) for each in members] == [
        ("a", value),
        ("b", value),
    ]
    assert text[end:] == b"rest"


def test_nothing_is_in_an_empty_list_or_object() -> None:
    assert elements_of(b"[ ]", 0) == ([], 3)
    assert members_of(b"{\n}", 0) == ([], 3)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[",
        b"[1",
        b"[1,",
        b"[1,]",
        b"[,1]",
        b"[1 2]",
        b'["a]',
        b'[{"a":1]',
        b"[" * 90_000,
        b"[1}",
        b"[" + b'{"a":' * 9_000,
    ],
)
def test_lists_that_do_not_end_well(text: bytes) -> None:
    with pytest.raises(ScanError):
        elements_of(text, 0)


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,', b'{"a":1,}', b"{a:1}", b'{"a" 1}', b'{"a":1]']
)
def test_objects_that_do_not_end_well(text: bytes) -> None:
    with pytest.raises(ScanError):
        members_of(text, 0)


@pytest.mark.parametrize("depth", [1, 6, 7, 50, 20_000])
def test_no_value_ends_within_a_string(depth: int) -> None:
    """However many brackets follow a quote without another one."""
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        with pytest.raises(ScanError):
            end_of_value(opening * depth + b'"x' + closing * (depth + 1), 0)


@pytest.mark.parametrize("length", [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 40_000])
def test_white_space_of_any_length_is_skipped(length: int) -> None:
    blank = (b" \t\r\n" * length)[:length]
    assert skip_blank(b"xyz" + blank + b"x", 3) == 3 + length
    text = b"[" + blank + b"1" + blank + b"," + blank + b"2" + blank + b"]"
    assert elements_of(text, 0) == ([(1 + length, 2 + length), (3 + 3 * length, 4 + 3 * length)], len(text))


def test_a_name_that_is_no_text_is_none() -> None:
    text = b'{"\\ud800":1,"\xff":2,"\\u12":3}'
    assert [name_of(text, each) for each in members_of(text, 0)[0]] == ["\ue800", None, None]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=150)
@given(st.lists(JSON, max_size=5), st.dictionaries(st.text(max_size=4), JSON, max_size=5), st.sampled_from([None, 2]))
def test_spans_are_the_values_that_a_reader_reads(values: list[Any], named: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(values, indent=indent).encode()
    spans, end = elements_of(text, 0)
    assert [repr(json.loads(text[a:b])) for a, b in spans] == [repr(each) for each in json.loads(text)]
    assert end == len(text)
    text = json.dumps(named, indent=indent).encode()
    members, end = members_of(text, 0)
    assert repr({name_of(text, m): json.loads(text[m.value_start : m.end]) for m in members}) == repr(json.loads(text))
    assert end == len(text)


@settings(max_examples=200)
@given(st.text(alphabet='[]{}",:\\1 ', max_size=40).map(str.encode))
def test_any_text_is_split_or_refused(text: bytes) -> None:
    for read in (elements_of, members_of):
        try:
            _, end = read(text, 0)
        except ScanError:
            continue
        assert 0 < end <= len(text)


@pytest.mark.parametrize("length", [*range(16 * 1024 - 12, 16 * 1024 + 12), 100_000])
@pytest.mark.parametrize("value", ['"%s"', "%s", '["%s",[{"a":"]"}]]', '{"b":"%s","c":[]}'])
def test_a_value_of_any_length_ends_where_it_ends(value: str, length: int) -> None:
    raw = (value % ("7" * length)).encode()
    document = b'{"a":' + raw + b',"b": ' + raw + b"}"
    members, end = members_of(document, 0)
    assert [document[each.value_start : each.end] for each in members] == [raw, raw]
    assert end == len(document)
    spans, end = elements_of(b"[" + raw + b" ," + raw + b"]", 0)
    assert spans == [(1, 1 + len(raw)), (3 + len(raw), 3 + 2 * len(raw))]
    assert end == 4 + 2 * len(raw)
