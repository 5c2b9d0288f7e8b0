from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.audit.privacy import LONGEST_NAME, address_mask, is_unnamed, safe
from fsproxy.core.model import FilterName, Hit, Rule
from fsproxy.core.reasons import ReasonCode

V4, V6 = ip_address("198.51.100.77"), ip_address("2001:db8:1:2:3::4")


@pytest.mark.parametrize(
    ("mode", "v4", "v6"),
    [
        ("full", "198.51.100.77", "2001:db8:1:2:3::4"),
        ("truncated", "198.51.100.0", "2001:db8:1::"),
        ("none", None, None),
    ],
)
def test_as_much_of_an_address_is_written_as_is_configured(mode: str, v4: str | None, v6: str | None) -> None:
    mask = address_mask(mode)
    assert (mask(V4), mask(V6)) == (v4, v6)


def test_a_hash_depends_on_address_and_key_alone() -> None:
    mask = address_mask("hashed", "key-1")
    hashed = mask(V4)
    assert hashed is not None
    assert len(bytes.fromhex(hashed)) == 8
    assert hashed == address_mask("hashed", "key-1")(V4)
    assert hashed not in {mask(V6), address_mask("hashed", "key-2")(V4)}


@pytest.mark.parametrize(("mode", "key"), [("hashed", None), ("hashed", ""), ("some", "key")])
def test_a_mask_that_would_hide_nothing_is_refused(mode: str, key: str | None) -> None:
    with pytest.raises(ValueError, match="hashed with a key"):
        address_mask(mode, key)


@pytest.mark.parametrize("code", list(ReasonCode))
def test_opted_out_and_deleted_visitors_stay_unnamed(code: ReasonCode) -> None:
    hit = Hit(FilterName.IP, code, Rule("r"))
    assert is_unnamed((hit,)) is (code in {ReasonCode.OPT_OUT_COOKIE, ReasonCode.USER_ACTIVELY_BEING_DELETED})
    assert not is_unnamed(())


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Bought", "Bought"),
        ("größe 😀", "größe 😀"),
        ("a\nb\x1b[31m\x7f\x85", r"a\u000ab\u001b[31m\u007f\u0085"),
        ("a\nb\x1b[31m\x7f", r"a\u000ab\u001b[31m\u007f"),
        ("a\u202eb\u2028", r"a\u202eb\u2028"),
        ("cut \ud83d", "cut \ufffd"),
        ("x" * 300, "x" * LONGEST_NAME),
    ],
)
def test_names_are_cut_and_escaped(text: str, written: str) -> None:
    assert safe(text) == written


@settings(max_examples=150)
@given(st.text(st.characters(exclude_categories=()), max_size=60), st.integers(0, 40))
def test_any_text_becomes_one_harmless_line(text: str, limit: int) -> None:
    written = safe(text, limit)
    assert len(written.encode().splitlines()) <= 1
    assert len(written) <= limit * 6


def test_exactly_the_first_48_bits_of_an_ipv6_address_and_24_of_an_ipv4_one_are_left() -> None:
    mask = address_mask("truncated")
    assert mask(ip_address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")) == "ffff:ffff:ffff::"
    assert mask(ip_address("255.255.255.255")) == "255.255.255.0"


def test_what_is_wrong_with_a_mask_is_said_with_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=r"^full, truncated, none, or hashed with a key$"):
        address_mask("half")
