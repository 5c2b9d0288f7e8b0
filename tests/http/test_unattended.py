"""How many exchanges go on without their clients, and which of them: a quarter of a pool, bundles first (rules.md 4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsproxy.core.failures import Failure
from fsproxy.http.upstream.unattended import Unattended


class OneExchange:
    """An exchange that removes itself from the count when it is aborted, as the real one does."""

    def __init__(self, all_of_them: Unattended, *, bundle: bool) -> None:
        self.bundle = bundle
        self.ended: Failure | None = None
        self._all = all_of_them

    def abort(self, failure: Failure) -> None:
        assert self.ended is None
        self.ended = failure
        self._all.discard(self)


@pytest.mark.parametrize(("connections", "most"), [(512, 128), (8, 2), (4, 1), (3, 1), (1, 1)])
def test_they_hold_a_quarter_of_the_pool_and_always_one(connections: int, most: int) -> None:
    count = Unattended(connections)
    admitted = [count.admit(OneExchange(count, bundle=True), bundle=True) for _ in range(most + 3)]
    assert admitted == [True] * most + [False] * 3
    assert len(count) == most


def test_a_bundle_takes_the_place_of_the_oldest_of_the_others() -> None:
    count = Unattended(12)
    others = [OneExchange(count, bundle=False) for _ in range(4)]
    assert [count.admit(each, bundle=False) for each in others] == [True, True, True, False]
    bundles = [OneExchange(count, bundle=True) for _ in range(4)]
    assert [count.admit(each, bundle=True) for each in bundles] == [True, True, True, False]
    assert [each.ended for each in others] == [Failure.CLIENT_GONE] * 3 + [None]
    assert not count.admit(OneExchange(count, bundle=False), bundle=False)
    assert all(each.ended is None for each in bundles)


@given(st.integers(1, 40), st.lists(st.tuples(st.booleans(), st.booleans()), max_size=80))
def test_whatever_comes_and_ends(connections: int, steps: list[tuple[bool, bool]]) -> None:
    count = Unattended(connections)
    running: list[OneExchange] = []
    for bundle, ends in steps:
        if ends and running:
            count.discard(running.pop(0))
            continue
        room = len(count) < max(1, connections // 4)
        displaces = bundle and any(not each.bundle for each in running)
        one = OneExchange(count, bundle=bundle)
        assert count.admit(one, bundle=bundle) == (room or displaces)
        if room or displaces:
            running.append(one)
        running = [each for each in running if each.ended is None]
        assert len(count) == len(running) <= max(1, connections // 4)
