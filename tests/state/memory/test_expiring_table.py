"""The table that forgets by age, against a plain dict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fsproxy.state.memory.expiring_table import ExpiringTable

steps = st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.0, 1.0, 30.0, 59.0, 61.0, 300.0])), max_size=80)


def table(bound: int) -> ExpiringTable[float]:
    """Values are the moments of their last activity."""
    return ExpiringTable(bound, idle=300.0, width=60.0, last_of=lambda _, last: last)


def items_of(kept: ExpiringTable[float]) -> dict[int, float]:
    """Every key and value, some perhaps past their time."""
    return {key: value for shard in kept._shards for key, value in shard.items()}


@given(steps)
def test_nothing_goes_before_its_time_and_all_of_it_goes_in_time(moves: list[tuple[int, float]]) -> None:
    kept = table(100)
    model: dict[int, float] = {}
    now = 1_000.0
    for key, gap in moves:
        now += gap
        kept.put(key, now)
        model[key] = now
        kept.sweep(now)
        for other, last in model.items():
            if last > now - 300:
                assert kept.get(other) == last
    now += 1_000
    for _ in range(len(moves) + 1):
        kept.sweep(now)
    assert len(kept) == 0
    assert items_of(kept) == {}


@given(steps, st.integers(1, 5))
def test_it_never_holds_more_than_its_bound_and_evicts_the_oldest(moves: list[tuple[int, float]], bound: int) -> None:
    kept = table(bound)
    now = 1_000.0
    for key, gap in moves:
        now += gap
        before = items_of(kept)
        kept.put(key, now)
        after = items_of(kept)
        assert after[key] == now
        assert len(kept) == len(after) <= bound
        for gone in before.keys() - after.keys():
            # The oldest, to the width of a slice.
            assert before[gone] // 60 == min(before.values()) // 60


def test_what_had_to_go_is_counted() -> None:
    kept = table(2)
    for key in range(5):
        kept.put(key, 1_000.0 + key)
    assert kept.evicted == 3
    kept.sweep(5_000)
    assert kept.evicted == 3


def test_a_full_table_of_refreshed_keys_looks_at_few_before_it_evicts() -> None:
    looked = 0

    def last_of(_: int, last: float) -> float:
        nonlocal looked
        looked += 1
        return last

    kept: ExpiringTable[float] = ExpiringTable(1_000, 300.0, 60.0, last_of)
    for key in range(1_000):
        kept.put(key, 1_000.0)
    for key in range(1_000):
        kept.put(key, 2_000.0)
    looked = 0
    kept.put(5_000, 2_000.0)
    assert looked < 100
    assert len(kept) == 1_000


@given(steps, st.integers(1, 5), st.integers(1, 4))
def test_the_journal_gives_each_change_once_and_holds_nothing_that_is_gone(
    moves: list[tuple[int, float]], bound: int, most: int
) -> None:
    kept = table(bound)
    kept.start_journal()
    copy: dict[int, float] = {}
    now = 1_000.0
    for key, gap in moves:
        now += gap
        kept.put(key << 54, now)
        kept.sweep(now)
        assert kept.journal is not None
        assert set().union(*kept.journal.shards) <= items_of(kept).keys()
        rows = kept.drain(most)
        assert len(rows) <= most
        copy |= rows
    while rows := kept.drain(most):
        copy |= rows
    assert {key: copy[key] for key in items_of(kept)} == items_of(kept)


def test_all_of_it_is_drained_again_on_request() -> None:
    kept = table(100)
    kept.start_journal()
    for key in range(50):
        kept.put(key << 54, 1_000.0)
    assert len(kept.drain(7)) == 7
    assert len(kept.drain(100)) == 43
    assert kept.drain(100) == []
    for _ in kept.note_all():
        pass
    assert len(kept.drain(100)) == 50
