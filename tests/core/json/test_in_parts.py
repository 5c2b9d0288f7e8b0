"""Long lists, which are looked at in parts, give what they would give at once."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from fsproxy.core.json.in_parts import PART, all_within, kinds_of

LENGTHS = [1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("odd", [None, "text", 1.5, True])
def test_the_type_of_every_element_is_found_wherever_it_is(length: int, odd: Any) -> None:
    for place in {0, length // 2, length - 1}:
        values: list[Any] = [7] * length
        values[place] = odd
        assert kinds_of(values) == ({type(odd)} if length == 1 else {int, type(odd)})


def test_an_empty_list_has_no_types_and_nothing_out_of_range() -> None:
    assert kinds_of([]) == set()
    assert all_within([], 1, 0)


@pytest.mark.parametrize("length", LENGTHS)
def test_one_number_out_of_range_is_found_wherever_it_is(length: int) -> None:
    for place in {0, length // 2, length - 1}:
        for number, within in ((-3, True), (-4, False), (5, True), (6, False), (inf, False)):
            values = [0.0] * length
            values[place] = number
            assert all_within(values, -3, 5) is within, (place, number)
