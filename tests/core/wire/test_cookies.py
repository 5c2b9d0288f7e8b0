import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.wire.cookies import UidCookie, has_cookies, kept_cookies, search_of_cookie, uid_cookie
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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            "#o-TEST1-na1#46092680-556e:02b34c20-20a7:1795287341564:1795287341564:1#f00c3c10#/1826823341",
            UidCookie("o-TEST1-na1", "46092680-556e", "02b34c20-20a7"),
        ),
        ("#o-TEST1-na1#::::#026073ab#/1826823343", UidCookie("o-TEST1-na1", "", "")),
        ("#ORG#5001:6001:1795287341564::3#abcd1234#/1826823341", UidCookie("ORG", "5001", "6001")),
        ("%23ORG%23u-1%3As-1%3A1%3A%3A1%23h%23%2F1", UidCookie("ORG", "u-1", "s-1")),
        ("%23ORG%23u-1:s-1:1::1%23h%23/1", UidCookie("ORG", "u-1", "s-1")),
        ("#ORG#u-1", UidCookie("ORG", "u-1", "")),
    ],
)
def test_the_recorders_cookie_gives_org_user_and_session(value: str, expected: UidCookie) -> None:
    assert uid_cookie(f'a=1; fs_uid="{value}" ; fs_uid=#x#y') == uid_cookie(f"fs_uid={value}") == expected


@pytest.mark.parametrize("value", ["", "x", "##u:s#", "#ORG", "ORG#u:s#", "#" * 5000, "%23", "%2"])
def test_what_is_no_recorders_cookie_is_none(value: str) -> None:
    assert uid_cookie(f"fs_uid={value}") is None
    assert uid_cookie(f"fs_uid={value}; fs_uid=#ORG#u:s") is None


@settings(max_examples=150)
@given(st.text(max_size=60), st.binary(max_size=60))
def test_no_cookie_raises_and_what_is_kept_was_sent(text: str, header: bytes) -> None:
    uid_cookie(f"fs_uid=#{text}")
    kept = kept_cookies(header, frozenset({b"a"}))
    assert kept in header or all(pair in header for pair in kept.split(b";"))
    assert all(pair.partition(b"=")[0].strip(b" \t") == b"a" for pair in kept.split(b";") if kept)


@pytest.mark.parametrize("stray", ["\u00a0", "\u2003", "\x0b", "\x85"])
def test_only_blanks_and_tabs_stand_around_a_name_so_that_both_readers_see_the_same_cookies(stray: str) -> None:
    header = f" b\t= 1 ; b{stray}=2; c={stray}3"
    assert_read(header, {"b": "1", f"b{stray}": "2", "c": f"{stray}3"})
    assert kept_cookies(header.encode(), frozenset({b"b"})) == b"b\t= 1"


def test_the_cookies_that_are_allowed_go_up_in_their_order_and_as_they_came() -> None:
    header = b'a="1" ; b=2;c=3; a = 4'
    assert kept_cookies(header, frozenset({b"a", b"c"})) == b'a="1" ;c=3; a = 4'
    assert kept_cookies(header, frozenset({b"b"})) == b"b=2"
    assert kept_cookies(header, frozenset({b"a", b"b", b"c"})) is header
    assert kept_cookies(header, frozenset()) == b""


def test_of_quotes_one_pair_is_taken_off() -> None:
    assert_read('a=""; b="x; c="y"z"', {"a": "", "b": '"x', "c": 'y"z'})


@pytest.mark.parametrize(("length", "read"), [(4096, True), (4097, False)])
def test_no_cookie_that_a_browser_keeps_is_too_long(length: int, *, read: bool) -> None:
    assert (uid_cookie("fs_uid=" + "#o#u:s:1::2#".ljust(length, "x")) is not None) is read


def test_letters_are_no_blanks() -> None:
    assert_read("Xa=X1X; aX = 2", {"Xa": "X1X", "aX": "2"}, "a", "X")
    assert kept_cookies(b"a=1X; Xa=2", frozenset({b"a"})) == b"a=1X"
    assert kept_cookies(b"a=1X; Xa=2X", frozenset({b"Xa"})) == b"Xa=2X"


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
