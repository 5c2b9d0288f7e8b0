"""What is an e-mail address, a card number, an IP address, the value of a parameter; and what only looks like one."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.redact.patterns import compiled, problem, without_anchors

FOUND = {
    "email": {
        "write to ann@example.com, please": ["ann@example.com"],
        "ann@example.com.And then": ["ann@example.com"],
        "ann@example.com-2026": ["ann@example.com"],
        "x@a.com@b.com": ["x@a.com"],
        "O'Brien+tag@mail.example.co.uk": ["O'Brien+tag@mail.example.co.uk"],
        "'ann@example.pl'": ["ann@example.pl"],
        "ünï@exämple.com": ["ünï@exämple.com"],
        "x@пример.рф": ["x@пример.рф"],
        "x@xn--e1afmkfd.xn--p1ai": ["x@xn--e1afmkfd.xn--p1ai"],
        "ann@163.com": ["ann@163.com"],
        "ann@163.sh tool@a.2.sh ann@example.zw": ["ann@163.sh", "tool@a.2.sh", "ann@example.zw"],
        "logo@2x.png logo@2x.ai tool@1.2.sh all@files.zip": [],
        "ann@localhost ann@example.notadomain @example.com ann@": [],
        "*************@example.com": [],
    },
    "card": {
        "4111111111111111": ["4111111111111111"],
        "a 4111 1111 1111 1111.": ["4111 1111 1111 1111"],
        "5500-0000-0000-0004, 378282246310005": ["5500-0000-0000-0004", "378282246310005"],
        "3782 822463 10005": ["3782 822463 10005"],
        "4111+1111+1111+1111": ["4111+1111+1111+1111"],
        "7 4111 1111 1111 1111 9": ["4111 1111 1111 1111"],
        "no.4111111111111111": ["4111111111111111"],
        "4111111111111112": [],
        "1780000001001 217.39999999990687 5.4111111111111111": [],
        "41111111111111114111111111111111": [],
        "ab41-8222-333344445555": [],
    },
    "ip": {
        "from 203.0.113.9:443": ["203.0.113.9"],
        "2001:db8::1, [fe80::1ff:fe23:4567:890a]:80": ["2001:db8::1", "fe80::1ff:fe23:4567:890a"],
        "::ffff:192.0.2.1": ["192.0.2.1", "::ffff:192.0.2.1"],
        "http://10.0.0.1/x": ["10.0.0.1"],
        "1.2.3.4.5 1.2.3 300.1.1.1 1.2.3.999": [],
        "1234.1.2.3 x1234.1.2.3 1.2.3.1234, 1.2.3.256 256.1.2.3": [],
        "255.255.255.255 0.0.0.0": ["255.255.255.255", "0.0.0.0"],
        "_2001:db8::1 2001:db8::1_ g2001:db8::12 2001:db8::12g": [],
        "12:34:56 std::cout ::1 a::b 00:1a:2b:3c:4d:5e": [],
        "Mozilla/5.0 (X11) Chrome/140.0.0.0 Safari/537.36": [],
    },
    "query:token": {
        "https://x.example/?a=1&token=abc&b=2": ["abc"],
        "#token=x;TOKEN=y": ["x", "y"],
        "token=abc": ["abc"],
        "mytoken=abc&token=": [],
    },
    "regex:[0-9]{3}-[0-9]{2}": {"123-45 678-90": ["123-45", "678-90"], "12-345": []},
    "regex:^a*$": {"aaa": ["aaa"], "aab": [], "": []},
}
CASES = [(pattern, text, found) for pattern, texts in FOUND.items() for text, found in texts.items()]


@pytest.mark.parametrize(("pattern", "text", "found"), CASES)
def test_what_a_pattern_finds(pattern: str, text: str, found: list[str]) -> None:
    assert problem(pattern) is None
    assert [text[begin:end] for begin, end in compiled(pattern).find(text)] == found


@pytest.mark.parametrize(("pattern", "text", "found"), CASES)
def test_what_may_be_is_in_every_text_around_a_match(pattern: str, text: str, found: list[str]) -> None:
    """Otherwise a body would be passed over that has something to redact."""
    may_be = re2.compile(compiled(pattern).may_be)
    if found:
        assert may_be.search(text) is not None
        assert may_be.search(f'{{"a":"{text}","b":1}}') is not None


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(FOUND)), st.text("ab@.123456:- +com4/?=&%tokn", max_size=40))
def test_what_may_be_misses_nothing(pattern: str, text: str) -> None:
    one = compiled(pattern)
    if list(one.find(text)):
        assert re2.compile(one.may_be).search(f'["{text}"]') is not None


@pytest.mark.parametrize(
    ("expression", "without"),
    [
        ("^abc$", "abc"),
        (r"\Aabc\z|x\$", r"abc|x\$"),
        (r"[^$\]]^x", r"[^$\]]x"),
        (r"\Q^a$\Eb$", r"\Q^a$\Eb"),
        ("[[:alpha:]$]+$", "[[:alpha:]$]+"),
        (r"\p{L}^\x{24}", r"\p{L}\x{24}"),
        (r"\p{^L}$", r"\p{^L}"),
        (r"\P{^L}$", r"\P{^L}"),
        (r"\pL^x$", r"\pLx"),
        (r"\x24^x", r"\x24x"),
        ("[^]a$]x$", "[^]a$]x"),
        ("[]a$]x$", "[]a$]x"),
        (r"[^\]$]x$", r"[^\]$]x"),
        ("^*a", ""),
    ],
)
def test_anchors_are_left_out_where_a_body_is_searched(expression: str, without: str) -> None:
    assert without_anchors(expression) == without


@pytest.mark.parametrize(
    "text", ["emial", "", "query:", "query: ", "regex:", "regex:(", "regex:(?=a)", "ann@example.com"]
)
def test_other_patterns_are_refused_with_the_forms_that_there_are(text: str) -> None:
    forms = problem(text)
    assert forms is not None
    assert forms.startswith("email, card, ip, query:NAME, or regex: and an expression in RE2's syntax")


@pytest.mark.parametrize("text", ["x@" + "a." * 200_000, "1 " * 200_000, "4 " * 20_000, "a:" * 200_000, "a@" * 200_000])
def test_the_work_for_a_text_grows_with_its_length_alone(text: str) -> None:
    """With the square of it, each of these would take hours."""
    for pattern in ("email", "card", "ip"):
        assert len(list(compiled(pattern).find(text))) < 2_000
