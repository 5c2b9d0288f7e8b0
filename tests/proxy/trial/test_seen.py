"""What a hint may be made of: addresses as audit lines have them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from fsproxy.core.audit.privacy import address_mask
from fsproxy.proxy.trial.seen import _shown


@pytest.mark.parametrize(
    ("mode", "address", "shown"),
    [
        ("truncated", "203.0.113.7", "203.0.113.0/24"),
        ("truncated", "203.0.113.0", "203.0.113.0/24"),
        ("truncated", "2001:db8::", "2001:db8::/48"),
        ("full", "203.0.113.0", "203.0.113.0"),
        ("none", "203.0.113.0", ""),
    ],
)
def test_all_addresses_of_a_network_count_as_the_same(mode: str, address: str, shown: str) -> None:
    assert _shown(ip_address(address), address_mask(mode)) == shown
