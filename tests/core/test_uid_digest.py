"""What is remembered in place of a uid (rules.md 6)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fsproxy.core.uid_digest import DIGEST_BITS, uid_digest


def test_it_is_the_same_in_every_process_and_version() -> None:
    assert uid_digest("ann@example.com") == 0xFE049C0130E2244


@given(st.text(st.characters(exclude_categories=())))
def test_any_uid_has_one_of_60_bits_that_is_not_none(uid: str) -> None:
    assert 0 < uid_digest(uid) < 1 << DIGEST_BITS
