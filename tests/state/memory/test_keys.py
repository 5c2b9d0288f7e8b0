"""Keys: stable, and one for each id."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fsproxy.state.memory.keys import KeyKind, key_of

ids = st.tuples(st.sampled_from(KeyKind), st.text("o1:s\0\ud800", max_size=4), st.text("o1:s\0\ud800", max_size=4))


@given(ids, ids)
def test_different_ids_have_different_keys(one: tuple[KeyKind, str, str], other: tuple[KeyKind, str, str]) -> None:
    assert (key_of(*one) == key_of(*other)) is (one == other)


@given(ids)
def test_a_key_fits_the_smallest_integers(one: tuple[KeyKind, str, str]) -> None:
    assert 0 < key_of(*one) < 1 << 60


def test_a_key_is_the_same_in_every_process_and_version() -> None:
    """What is on disk is found again."""
    assert key_of(KeyKind.SESSION, "o-1ABC-na1", "5e1cba3e") == 1689799368565097
