"""The decoded forms of a text, and where their characters are in it."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.json.surrogates import encodable
from fsproxy.core.redact.views import MOST_FORMS, decoded_bytes, forms, parts, unescaped_json


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("plain, 100% and C:", "plain, 100% and C:"),
        ("ann%40example.com", "ann@example.com"),
        ("ann%252540example.com", "ann@example.com"),
        (r"ann\u0040example.com", "ann@example.com"),
        (r"a\\u0040b\/c", "a@b/c"),
        (r"a\bb\fc\nd\re\tf\"\/", 'a\x08b\x0cc\nd\re\tf"/'),
        ("a%E2%82%ACb%ffc%e2", "a€b\ufffdc\ufffd"),
        (r"\ud83d\ude00 \ud83d!", "😀 \ue83d!"),
        ("%" + "25" * 9 + "40", "%" + "25" * 5 + "40"),
    ],
)
def test_the_last_form_of_a_text(text: str, last: str) -> None:
    found = list(forms(text))
    assert found[0] == (text, None)
    assert found[-1][0] == last
    assert len(found) <= MOST_FORMS + 1


@pytest.mark.parametrize("text", ["a%40b%C3%A9c", r"\u0041%2541\n\"x", r"\ud83d\ude00%F0%9F%98%80.", "%25%32%35"])
def test_each_character_knows_where_it_is_written(text: str) -> None:
    for form, starts in forms(text):
        if starts is None:
            continue
        assert len(starts) == len(form) + 1
        assert starts[-1] == len(text)
        assert starts == sorted(starts)
        for at, character in enumerate(form):
            written = text[starts[at] : starts[at + 1]]
            assert written == character or written[0] in "%\\"


def test_half_a_character_gets_a_stand_in_of_its_own() -> None:
    assert encodable("a\ud83db\udc00") == "a\ue83db\uec00"
    assert encodable("😀") == "😀"


def test_a_large_body_is_searched_in_parts_that_cut_no_string_in_two() -> None:
    strings = [f'{number} \\" \\\\ ,", ' + "x" * (number % 700) for number in range(2_000)]
    body = json.dumps(strings, separators=(",", ":")).encode()
    found = list(parts(body))
    assert b"".join(found) == body
    assert len(found) > 3
    assert all(128 * 1024 <= len(each) < 129 * 1024 for each in found[:-1])
    assert all(any(json.dumps(each)[1:-1].encode() in part for part in found) for each in strings[::50])


TEXT = st.text(st.sampled_from('ab"\\/@%4é😀\n\x00\x1f'), max_size=12)


@settings(max_examples=150, deadline=None)
@given(TEXT, st.booleans())
def test_what_is_in_a_string_is_in_the_decoded_bytes_around_it(text: str, ascii_only: bool) -> None:  # noqa: FBT001
    """So that one search in a whole body can tell that no string in it has a match."""
    body = json.dumps({"a": text, "b": [text + "!"]}, ensure_ascii=ascii_only).encode()
    assert text.encode() in unescaped_json(body)
    nested = json.dumps(["x", json.dumps([text], ensure_ascii=ascii_only)], ensure_ascii=ascii_only).encode()
    once = unescaped_json(nested)
    assert text.encode() in (decoded_bytes(once) or once) or "%" in text


@settings(max_examples=100, deadline=None)
@given(TEXT)
def test_percent_encoding_is_decoded_like_in_urls(text: str) -> None:
    written = quote(text, safe="")
    assert any(form == text for form, _ in forms(written))
    assert text.encode() in (decoded_bytes(b'"' + written.encode() + b'"') or b'"' + written.encode() + b'"')
