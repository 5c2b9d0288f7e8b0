"""Paths that go up as others."""

from __future__ import annotations

import pytest

from fsproxy.core.wire.rewrites import Rewrite, groups_beyond, pattern_problem, target_problem


@pytest.mark.parametrize(
    ("pattern", "to", "path", "new"),
    [
        ("regex:^/relay/(.*)", r"/\1", "/relay/rec/page", "/rec/page"),
        ("regex:^/relay/(.*)", r"/\1", "/relay/", "/"),
        ("regex:^/relay/(.*)", r"/\1", "/rec/page", None),
        ("regex:^/foo/", "/xyz/", "/foo/bar/foo/baz", "/xyz/bar/foo/baz"),
        ("regex:^/([^/]*)/foo/([^/]*)/bar/", r"/\1/xyz/\2/abc/", "/a/foo/b/bar/c", "/a/xyz/b/abc/c"),
        ("regex:foo", "xyz", "/foo/bar", "/xyz/bar"),
        ("regex:/b", "/c", "/a/b", "/a/c"),
        ("regex:(x)?$", r"/\1end\0", "/a", "/a/end"),
        (r"regex:^/a", r"/\\1\0", "/a/b", r"/\1/a/b"),
        # the beginning of a path, in which nothing is an expression
        ("/relay/", "/", "/relay/rec/page", "/rec/page"),
        ("/a.c/", "/d/", "/abc/e", None),
        ("/X", "/Y", "/X/e", "/Y/e"),
        ("/relay", "", "/relay/rec/page", "/rec/page"),
        ("/relay/", "", "/relay/rec/page", "/rec/page"),
        # escapes, and bytes that are no UTF-8, stay as they came
        ("regex:^/r/(.*)", r"/\1", "/r/a%2Fb/%zz\udcff", "/a%2Fb/%zz\udcff"),
        ("regex:^/r/.é/", "/", "/r/\udcffé/b", "/b"),
        # a whole URL takes the place of the path's beginning alone
        ("regex:/?foo", "https://b.example/xyz", "/foo/bar", "/xyz/bar"),
        ("regex:/?foo", "https://b.example/xyz", "/a/foo", None),
        ("regex:^/foo", "http://[::1]:8080", "/foo/bar", "/bar"),
    ],
)
def test_what_matches_is_replaced(pattern: str, to: str, path: str, new: str | None) -> None:
    assert (pattern_problem(pattern), target_problem(to), groups_beyond(pattern, to)) == (None, None, None)
    rewrite = Rewrite.compile(pattern, to)
    assert rewrite.apply(path) == new
    assert rewrite.url == (
        to[: to.find("/", 8)] if to.startswith("https") else "http://[::1]:8080" if "[" in to else ""
    )


@pytest.mark.parametrize(
    "text", ["", "regex:(", "regex:(?=x)", r"regex:(a)\1", "relay/", "/a b", "/a?b", "regex:(((x{99}){99}){99})"]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    assert pattern_problem(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "/a?b", "/a#b", "/a b", "/a\\", r"/\x", "ftp://a/b", "https://", "https:///a", "https://u:p@a/", "http://a:0/", "http://a:0",
        "http://a:99999/", r"https://\1.example/", "//http://a", "htps://a/b",
    ],
)  # fmt: skip
def test_what_is_no_replacement_is_refused(text: str) -> None:
    assert target_problem(text) is not None


def test_groups_that_are_not_there_are_found() -> None:
    assert groups_beyond("regex:^/(a)/(b)", r"/\2/\1/\0") is None
    assert groups_beyond("regex:^/(a)", r"/\2") == 2
    assert groups_beyond("/a/", r"/\1") == 1
