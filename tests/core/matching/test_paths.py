"""Globs on the paths of URLs: which paths they match, and which texts are none."""

from __future__ import annotations

import re

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.matching.paths import ALLOWED, checked, expression, path_of

MATCHES = [
    ("/account/**", "/account", True),
    ("/account/**", "/account/", True),
    ("/account/**", "/account/a/b.html", True),
    ("/account/**", "/accounts", False),
    ("/account/**", "/", False),
    ("/account/**", "/Account/a", False),
    ("/account", "/account/", True),
    ("/account/", "/account", True),
    ("/account", "/account/a", False),
    ("/checkout/*", "/checkout/pay", True),
    ("/checkout/*", "/checkout/pay/", True),
    ("/checkout/*", "/checkout", False),
    ("/checkout/*", "/checkout/", False),
    ("/checkout/*", "/checkout/a/b", False),
    ("/*/edit", "/7/edit", True),
    ("/*/edit", "/edit", False),
    ("/**/edit", "/edit", True),
    ("/**/edit", "/a/b/edit", True),
    ("/**/edit", "/a/b/edit/c", False),
    ("/a/**/b/*", "/a/x/b/b/c", True),
    ("/**", "", True),
    ("/**", "/a/b/c", True),
    ("/", "", True),
    ("/", "/", True),
    ("/", "/a", False),
    ("/*", "/", False),
    # a part of a segment
    ("/p/*.html", "/p/a.html", True),
    ("/p/*.html", "/p/.html", True),
    ("/p/*.html", "/p/a.htm", False),
    ("/shop-*-x", "/shop-eu/-x", False),
    # nothing else has a meaning
    ("/a.b", "/aXb", False),
    ("/a+(b)[c]", "/a+(b)[c]", True),
    ("/aX", "/aX", True),
    # as the browser means it
    ("/account/**", "/x/../account/a", True),
    ("/account/**", "/account/../b", False),
    ("/account/**", "/account/%2e%2e/b", False),
    ("/account/**", "//account//a", True),
    ("/account/**", "\\\\account\\a", True),
    ("/account/**", "/./account/.", True),
    ("/account/**", "/%61ccount/x", True),
    ("/account/**", "/account%2Fx", True),
    ("/account/**", "/%2561ccount/x", False),  # decoded once alone
    ("/caf\u00e9", "/caf%C3%A9", True),
    ("/caf%C3%A9", "/caf\u00e9", True),
    ("/100%25", "/100%25", True),
    ("/a%2Ab", "/a*b", True),
    ("/a%2Ab", "/axb", False),
    ("/*", "/%FF", True),
    ("/*", "/%0a", True),
    ("/*", "/\ud800", True),
]


def _matches(glob: str, url: str) -> bool:
    made = re2.compile(expression(checked(glob)))
    return made.search(path_of(url).encode("utf-8", "replace")) is not None


@pytest.mark.parametrize(("glob", "path", "matches"), MATCHES)
def test_a_glob_matches_these_paths(glob: str, path: str, *, matches: bool) -> None:
    for url in (f"https://a.example{path}", f"https://u:p@a.example:8443{path}?q=/account/a#/account"):
        assert _matches(glob, url) is matches


@pytest.mark.parametrize(
    "text",
    ["", "account", "*", "**", "/a?b", "/a#b", "/a\\b", "/a**", "/**a", "/***", "/a/../b", "/%2e%2e", "/a\nb", "/" + "a" * 8192],
)  # fmt: skip
def test_what_could_never_match_or_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        checked(text)


def test_the_words_for_what_is_allowed_name_globs_that_are() -> None:
    examples = ALLOWED.rpartition("(")[2].removesuffix(")").split(", ")
    assert list(map(checked, examples)) == examples == ["/checkout/*", "/account/**"]


@pytest.mark.parametrize(
    "text", ["", "about:blank", "mailto:a@b", "https://a.example", "https://a.example?x", "://", "7"]
)
def test_a_url_without_a_path_has_the_root(text: str) -> None:
    assert path_of(text) == ""


def test_only_the_beginning_of_a_long_path_is_looked_at() -> None:
    assert len(path_of("https://a.example/" + "a" * 100_000)) == 8192
    assert path_of("https://a.example" + "/a" * 8192).count("/") == 4096
    assert checked("/" + "a" * 8191)


def _by_the_letter(glob: list[str], path: list[str]) -> bool:
    if not glob:
        return not path
    if glob[0] == "**":
        return any(_by_the_letter(glob[1:], path[n:]) for n in range(len(path) + 1))
    if not path:
        return False
    part = re.fullmatch(".*".join(map(re.escape, glob[0].split("*"))), path[0])
    return part is not None and _by_the_letter(glob[1:], path[1:])


segments = st.sampled_from(["a", "b", "ab", "a.b"])


@settings(max_examples=200)
@given(
    glob=st.lists(segments | st.sampled_from(["*", "**", "a*", "*b"]), max_size=5), path=st.lists(segments, max_size=5)
)
def test_a_glob_means_what_its_segments_say(glob: list[str], path: list[str]) -> None:
    assert _matches("/" + "/".join(glob), "https://a.example/" + "/".join(path)) is _by_the_letter(glob, path)
