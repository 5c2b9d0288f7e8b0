"""Quantiles of durations that were counted by bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsproxy.telemetry.durations import FINE, Histogram, quantile


def counted(seconds: list[float]) -> list[int]:
    histogram = Histogram(FINE)
    histogram.count([round(each * 1e9) for each in seconds])
    return histogram.counts


@given(st.lists(st.floats(0.000_03, 30.0), min_size=1, max_size=200), st.sampled_from([0.5, 0.99]))
def test_a_quantile_is_at_most_a_step_of_the_bounds_off(seconds: list[float], share: float) -> None:
    found = quantile(counted(seconds), share)
    exact = sorted(seconds)[max(0, -int(-share * len(seconds) // 1) - 1)]
    assert found is not None
    assert exact / 1.26 <= found <= exact * 1.26


def test_nothing_has_no_quantile_and_what_is_longer_than_all_bounds_is_left_out() -> None:
    assert quantile([], 0.5) is None
    assert quantile(counted([]), 0.5) is None
    assert quantile(counted([7200.0]), 0.5) is None
    assert quantile(counted([0.001, 7200.0]), 0.99) == pytest.approx(0.001, rel=0.26)
