"""Halves of characters: read as stand-ins, written as the escapes that they were (rules.md 2)."""

from __future__ import annotations

import json
from itertools import product

import pytest

from fsproxy.core.json.surrogates import (
    covered,
    encodable,
    read_string,
    shown_halves,
    uncovered,
    with_stand_ins,
    without_halves,
    write_string,
)

FIRST, LAST = "\ud800", "\udfff"


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        (r'"\ud83d\ude00"', r'"\ud83d\ude00"'),
        (r'"\uDBFF\uDFFF"', r'"\uDBFF\uDFFF"'),
        (r'"\ud800"', r'"\ue800"'),
        (r'"\uDC00"', r'"\ueC00"'),
        (r'"\uDAbF x"', r'"\ueAbF x"'),
        (r'"\ud83d\ud83d\ude00\ude00"', r'"\ue83d\ud83d\ude00\uee00"'),
        (r'"\\ud83d"', r'"\\ud83d"'),
        (r'"\\\ud83d\\"', r'"\\\ue83d\\"'),
        (r'"\\ud83d \ud83d \\u"', r'"\\ud83d \ue83d \\u"'),
        (r'"\ud7ff\ue000\u0041"', r'"\ud7ff\ue000\u0041"'),
        (f'"{FIRST}{LAST}"', '"\ue800\uefff"'),
        (f'"{FIRST}é\\udfff"', '"\ue800é\\uefff"'),
        ('"\0 \\ud83d"', '"\0 \\ud83d"'),
        ('"é"', '"é"'),
    ],
)
def test_only_what_is_unpaired_gets_a_stand_in_and_nothing_moves(text: str, readable: str) -> None:
    assert with_stand_ins(text) == readable
    assert len(with_stand_ins(text)) == len(text)


def test_every_half_has_a_stand_in_of_its_own_and_none_is_shown() -> None:
    halves = [chr(code) for code in range(0xD800, 0xE000)]
    stand_ins = [encodable(f"é{half}") for half in halves]
    assert len(set(stand_ins)) == len(halves)
    assert all(len(each) == 2 and each.encode() for each in stand_ins)
    assert {shown_halves(each) for each in stand_ins} == {"é\ufffd"}
    assert {without_halves(half) for half in halves} == {"\ufffd"}


@pytest.mark.parametrize("text", ["", "plain", "é", "\U0001f600", "\ue000", "\uf000", "\ufffd", "\ud7ff"])
def test_what_is_no_half_stays(text: str) -> None:
    assert encodable(text) == shown_halves(text) == without_halves(text) == text
    assert read_string(write_string(text)) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('a"\\\n', b'"a\\"\\\\\\n"'),
        ("é", '"é"'.encode()),
        (FIRST, b'"\\ud800"'),
        (f"é{LAST}x", '"é\\udfffx"'.encode()),
        (f"{LAST}{FIRST}", b'"\\udfff\\ud800"'),
    ],
)
def test_a_string_is_written_as_browsers_write_it_and_read_back(text: str, written: bytes) -> None:
    assert write_string(text) == written
    assert read_string(written) == text


@pytest.mark.parametrize(
    "raw", [b"", b"1", b"null", b"[]", b'"', b'"a" 1', b'"\xff"', b'{"a":"\\ud800"}', b'["\\ud800"]']
)
def test_what_is_no_string_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        read_string(raw)


def test_covered_bytes_have_no_escape_of_a_half_and_are_given_back() -> None:
    for pieces in product((rb"\\", rb"\ud83d", rb"\uDE00", rb"\n", rb"\u0041", b"ud", "é".encode()), repeat=3):
        body = b'{"a":"' + b"".join(pieces) + b'"}'
        cover = covered(body)
        assert len(cover) == len(body)
        assert uncovered(cover) == body
        assert rb"\ud" not in cover.lower()
    assert covered(rb'"\\ud83d"') == b'"\xff\xffud83d"'
    assert json.loads(covered(rb'"\\n\u0041"').decode("latin-1")) == "\xff\xffnA"


@pytest.mark.parametrize("body", [rb'"\ud8"', rb'"\uDC0g"', rb'"\ud83d\ud83"'])
def test_bytes_with_a_part_of_such_an_escape_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it says nothing
        covered(body)
