import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.matching.cookies import search_of_cookie
from fsproxy.core.wire.cookies import UidCookie, kept_cookies, uid_cookie


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
    for name, value in {"b": "1", f"b{stray}": "2", "c": f"{stray}3"}.items():
        assert search_of_cookie(name, value)(header) is not None
    assert kept_cookies(header.encode(), frozenset({b"b"})) == b"b\t= 1"


def test_the_cookies_that_are_allowed_go_up_in_their_order_and_as_they_came() -> None:
    header = b'a="1" ; b=2;c=3; a = 4'
    assert kept_cookies(header, frozenset({b"a", b"c"})) == b'a="1" ;c=3; a = 4'
    assert kept_cookies(header, frozenset({b"b"})) == b"b=2"
    assert kept_cookies(header, frozenset({b"a", b"b", b"c"})) is header
    assert kept_cookies(header, frozenset()) == b""


@pytest.mark.parametrize(("length", "read"), [(4096, True), (4097, False)])
def test_no_cookie_that_a_browser_keeps_is_too_long(length: int, *, read: bool) -> None:
    assert (uid_cookie("fs_uid=" + "#o#u:s:1::2#".ljust(length, "x")) is not None) is read


def test_letters_are_no_blanks() -> None:
    assert kept_cookies(b"a=1X; Xa=2", frozenset({b"a"})) == b"a=1X"
    assert kept_cookies(b"a=1X; Xa=2X", frozenset({b"Xa"})) == b"Xa=2X"
