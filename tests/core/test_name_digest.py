"""What is kept of a long name (rules.md 9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsproxy.core.name_digest import DIGEST_BEGIN, LONGEST_NAME, name_digest


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("Bought/total_real", "229095502e5cccb094ca32cbaf4c6bbf"),
        ("\ud800", "b4fe3de0239399efbfffc79686f435f9"),
        ("", "cae66941d9efbd404e4d88758ea67670"),
    ],
)
def test_it_is_the_same_in_every_process_and_version(name: str, digest: str) -> None:
    """The ledger holds digests that other versions have made."""
    assert name_digest(name) == "\0" + digest
    assert LONGEST_NAME == 64


@given(st.text(st.characters(exclude_categories=())))
def test_any_name_has_one_of_a_fixed_length(name: str) -> None:
    assert name_digest(name)[0] == DIGEST_BEGIN
    assert len(name_digest(name)) == 33
