"""What is kept of a long name (rules.md 9)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fsproxy.core.name_digest import DIGEST_BEGIN, name_digest


def test_it_is_the_same_in_every_process_and_version() -> None:
    assert name_digest("Bought/total_real") == "\0" + "229095502e5cccb094ca32cbaf4c6bbf"


@given(st.text(st.characters(exclude_categories=())))
def test_any_name_has_one_of_a_fixed_length(name: str) -> None:
    assert name_digest(name)[0] == DIGEST_BEGIN
    assert len(name_digest(name)) == 33
