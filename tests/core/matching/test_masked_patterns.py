"""A rule's name says no more of an address than the audit line does."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsproxy.core.audit.privacy import address_mask
from fsproxy.core.matching.addresses import parse_pattern
from fsproxy.core.matching.masked_patterns import pattern_mask


def masked(text: str, mode: str, key: str | None = None) -> str | None:
    pattern = parse_pattern(text)
    assert pattern is not None
    return pattern_mask(mode, key)(pattern)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("10.0.0.7", "10.0.0.x"),
        ("10.0.0.7/32", "10.0.0.x"),
        ("[10.0.0.7]:443", "10.0.0.x"),
        ("::ffff:10.0.0.7", "10.0.0.x"),
        ("10.0.0.128/25", "10.0.0.x/25"),
        ("10.*.*.7", "10.*.*.x"),
        ("10.0.0.0/24", None),
        ("10.0.0.*", None),
        ("10.0.0.0/8", None),
        ("0.0.0.0/0", None),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:x"),
        ("2001:db8::7", "2001:db8:0:x"),
        ("2001:db8:1:2::/64", "2001:db8:1:x/64"),
        ("2001:*:1:2::7", "2001:*:1:x"),
        ("2001:db8:1::/48", None),
        ("2001:db8::/32", None),
        ("::/0", None),
    ],
)
def test_truncated_names_end_where_truncated_addresses_do(text: str, name: str | None) -> None:
    assert masked(text, "truncated") == name
    assert parse_pattern(name or "x") is None, "a name is no rule"


def test_a_hash_hides_networks_too_and_is_that_of_an_address_for_one() -> None:
    for key in ("key", "k\udcffy"):
        address = address_mask("hashed", key)(ip_address("10.0.0.7"))
        assert masked("10.0.0.7", "hashed", key) == masked("10.0.0.7/32", "hashed", key) == address
        address = address_mask("hashed", key)(ip_address("2001:db8::7"))
        assert masked("2001:db8::7", "hashed", key) == masked("2001:db8::7/128", "hashed", key) == address
    names = [masked(text, "hashed", "key") for text in ("10.0.0.0/8", "10.0.0.0/9", "10.0.0.0", "2001:db8::/32")]
    assert len(set(names)) == 4
    assert all(name is not None and len(name) == 16 for name in names)
    assert masked("10.0.0.0/8", "hashed", "other") not in names


@pytest.mark.parametrize("text", ["10.0.0.7", "10.0.0.0/8", "2001:db8::/32"])
def test_the_other_modes_tell_all_or_nothing(text: str) -> None:
    assert masked(text, "none") == "x"
    assert masked(text, "full") is None


@given(st.integers(0, 2**32 - 1), st.integers(0, 255))
def test_addresses_of_one_network_have_one_name(number: int, last: int) -> None:
    address = ip_address(number)
    neighbour = ip_address(number & ~255 | last)
    assert masked(str(address), "truncated") == masked(str(neighbour), "truncated")
