"""Single cookies are found as if all of them were read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.matching.cookies import has_cookies, search_of_cookie
from support.cookies import parse_cookies


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2;c=3", {"a": "1", "b": "2", "c": "3"}),
        ("a=1; a=2", {"a": "1"}),
        ("a; =x; b=2", {"b": "2"}),
        (' fs_optout = "1" ', {"fs_optout": "1"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=;b", {"a": ""}),
        ('a="', {"a": '"'}),
        ("fs_optout=1;;;\udcff", {"fs_optout": "1"}),
    ],
)
def test_cookies_are_read_leniently_and_the_first_of_a_name_counts(header: str, cookies: dict[str, str]) -> None:
    assert parse_cookies(header) == cookies
    assert_read(header, cookies, *{"a", "b", "c", "fs_optout"} - cookies.keys())


def assert_read(header: str, cookies: dict[str, str], *others: str) -> None:
    """Searches find these cookies with these values, and neither other values nor the other names."""
    for name, value in cookies.items():
        assert search_of_cookie(name, None)(header) is not None
        assert search_of_cookie(name, value)(header) is not None
        for wrong in (f"{value}x", f" {value}", f'"{value}"', value[1:] or "x", value.strip('"') + ";"):
            assert wrong == value or search_of_cookie(name, wrong)(header) is None
    assert not [name for name in others if search_of_cookie(name, None)(header) is not None]


def test_of_quotes_one_pair_is_taken_off() -> None:
    assert_read('a=""; b="x; c="y"z"', {"a": "", "b": '"x', "c": 'y"z'})


def test_letters_are_no_blanks() -> None:
    assert_read("Xa=X1X; aX = 2", {"Xa": "X1X", "aX": "2"}, "a", "X")


PIECES = ["a", "b", "=", ";", "; ", " ", "\t", '"', "\u00a0", "\n", "c", "a=", ";a=", ";ab=", 'a="']
headers = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@settings(max_examples=1000)
@given(headers | st.text(max_size=20), st.lists(st.sampled_from(PIECES), max_size=3).map("".join))
def test_a_search_for_one_cookie_finds_what_reading_all_of_them_does(header: str, value: str) -> None:
    every = parse_cookies(header)
    assert (has_cookies(header) is not None) == bool(every)
    for name in ("a", "ab", "\u00a0", "d", *every):
        assert (search_of_cookie(name, None)(header) is not None) == (name in every)
        for each in (value, every.get(name, "")):
            assert (search_of_cookie(name, each)(header) is not None) == (every.get(name) == each)


@pytest.mark.parametrize("piece", [";", " ", "a", "a;", " ;", "a =", "a b;", '"', "ax=;", "; a", "b=1; "])
def test_a_header_that_is_all_alike_is_searched_in_one_pass(piece: str) -> None:
    header = piece * (256 * 1024 // len(piece))
    every = parse_cookies(header)
    assert (has_cookies(header) is not None) == bool(every)
    assert search_of_cookie("ab", "1")(header) is None
    assert search_of_cookie("b", "1")(header + ";b=1") is not None
