"""Which values fit which type, and how large they may be (rules.md 2)."""

from __future__ import annotations

from typing import Any

import pytest

from fsproxy.core.client_api.validation.values import (
    VALIDATORS,
    inferred_type,
    is_date,
    is_offset_date,
    reserved_problem,
)
from fsproxy.core.model import PropertyType
from fsproxy.core.reasons import RejectionCode

SIZE = 8192
DAY = "2024-02-29"
ATOM, VALUE, BIG = RejectionCode.EXPECTED_ATOM, RejectionCode.INVALID_VALUE, RejectionCode.VALUE_TOO_BIG

GOOD: dict[str, list[Any]] = {
    "str": ["", "x", "é😀", "5", "\x00"],
    "int": [0, -1, 49.0, -0.0, 1e3, 2**63 - 1, -(2**63), -(2.0**63)],
    "real": [0, 1.5, -2, 1e308, 5e-324, 2**64, 10**300],
    "date": [
        DAY,
        "2014-03-11T13:19:23Z",
        "2014-03-11T13:19:23.123456789Z",
        "2014-03-11T13:19:23+00:00",
        "2014-03-11T13:19Z",
    ],
    "bool": [True, False],
    "strs": [[], [""], ["a", "é"]],
    "ints": [[], [1, 49.0, -(2**63)]],
    "reals": [[], [1, 1.5]],
    "dates": [[], [DAY, "1970-01-01T00:00:00.000Z"]],
    "bools": [[], [True, False]],
}
BAD: dict[str, list[Any]] = {
    "str": [None, 5, 1.5, True],
    "int": ["49", None, True, 1.5, 2**63, -(2**63) - 1, 2.0**63, ""],
    "real": ["1.5", None, False, ""],
    "date": [None, 0, 1700000000000, True, "", "not a date", "2024-1-1", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00"],
    "bool": ["true", 0, 1, None, 1.0],
    "strs": ["a", 1, None, ["a", 1], ["a", None], [True]],
    "ints": [1, "1", None, [1.5], [1, "2"], [None], [True], [2**63]],
    "reals": [1.5, None, ["1"], [1, None], [False]],
    "dates": [DAY, None, [DAY, "x"], [0], [None]],
    "bools": [True, None, ["true"], [0], [True, None]],
}
TYPES = list(PropertyType)


@pytest.mark.parametrize(("declared", "value"), [(t, v) for t in TYPES for v in GOOD[t]])
def test_values_that_fit(declared: PropertyType, value: Any) -> None:
    assert VALIDATORS[declared](value, SIZE) is None


@pytest.mark.parametrize(("declared", "value"), [(t, v) for t in TYPES for v in BAD[t]])
def test_values_that_do_not_fit(declared: PropertyType, value: Any) -> None:
    assert VALIDATORS[declared](value, SIZE) is VALUE


@pytest.mark.parametrize("declared", TYPES)
def test_an_object_never_stands_where_a_value_belongs(declared: PropertyType) -> None:
    assert VALIDATORS[declared]({}, SIZE) is ATOM
    assert VALIDATORS[declared]({"a": 1}, SIZE) is ATOM


@pytest.mark.parametrize("declared", [t for t in TYPES if not t.endswith("s")])
def test_a_list_does_not_stand_for_one_value(declared: PropertyType) -> None:
    assert VALIDATORS[declared]([], SIZE) is ATOM
    assert VALIDATORS[declared](GOOD[declared], SIZE) is ATOM


@pytest.mark.parametrize("declared", [t for t in TYPES if t.endswith("s")])
def test_objects_and_lists_inside_a_list_come_before_its_type(declared: PropertyType) -> None:
    assert VALIDATORS[declared]([None, {"a": 1}], SIZE) is ATOM
    assert VALIDATORS[declared]([[1]], SIZE) is ATOM


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29",
        "2024-02-30",
        "2024-04-31",
        "2024-13-01",
        "2024-00-10",
        "2024-01-00",
        "2024-01-32",
        "0000-02-30",
        "1900-02-29",
        "2024-01-01T24:00:00Z",
        "2024-01-01T23:60:00Z",
        "2024-01-01T23:59:60Z",
        "2024-01-01T23:59:59.Z",
        "2024-01-01T23:59:59z",
        "2024-01-01t23:59:59Z",
        "2024-01-01T23:59:59+01:00",
        "2024-01-01T23:59:59-00:00",
        "2024-01-01T23:59:59+0000",
        "2024-01-01Z",
        "2024-01-01\n",
        " 2024-01-01",
        "20240101",
        "\uff12\uff10\uff12\uff14-01-01",
        "+12024-01-01",
        "+0012024-01-01",
        "012024-01-01",
        "-000000-01-01",
        "-000001-02-29",
        "+002023-02-29",
        "2024-01-01T23:59:59.000+05:30",
    ],
)
def test_dates_that_are_none(text: str) -> None:
    assert not is_date(text)


@pytest.mark.parametrize("text", [
        "2000-02-29", "2024-12-31", "0001-01-01", "9999-12-31T23:59:59.999Z",
        "+275760-09-13T00:00:00.000Z", "-271821-04-20T00:00:00.000Z", "-000001-01-01T00:00:00.000Z",
        "0000-02-29", "0000-01-01T00:00:00.000Z", "+010000-02-29", "+002024-02-29", "-000004-02-29", "+000000-01-01",
    ])  # fmt: skip
def test_dates_at_the_edges_of_the_calendar(text: str) -> None:
    assert is_date(text)
    assert is_offset_date(text)


@pytest.mark.parametrize("offset", ["Z", "+00:00", "-00:00", "+05:30", "-08:00", "+14:00", "+23:59", "-12"])
def test_any_offset_is_a_date_where_a_schema_of_the_second_generation_says_so(offset: str) -> None:
    assert is_offset_date(f"2024-01-01T23:59:59{offset}")
    assert is_date(f"2024-01-01T23:59:59{offset}") == (offset in {"Z", "+00:00"})


@pytest.mark.parametrize("offset", ["", "+24:00", "+05:60", "+5:30", "+0530", "05:30", "+05:3", "+05:30:00", "z"])
def test_what_is_no_offset_is_none_there_either(offset: str) -> None:
    assert not is_offset_date(f"2024-01-01T23:59:59{offset}")
    assert not is_offset_date(f"2024-01-01{offset or 'T'}")


@pytest.mark.parametrize(
    ("declared", "at_limit", "above"),
    [
        ("str", "x" * 8192, "x" * 8193),
        ("str", "é" * 4096, "é" * 4096 + "x"),
        ("str", "😀" * 2048, "😀" * 2048 + "x"),
        ("strs", ["x" * 8188], ["x" * 8189]),
        ("strs", ["é" * 4094], ["é" * 4094 + "x"]),
        ("strs", ["\n" * 4094], ["\n" * 4094 + "x"]),
        ("ints", [1] * 4094 + [12], [1] * 4094 + [123]),
        ("reals", [0.5] * 2047 + [12], [0.5] * 2047 + [123]),
        ("bools", [True] * 1638, [True] * 1638 + [False]),
        ("dates", [DAY] * 629 + ["1970-01-01"], [DAY] * 631),
        ("date", "2024-01-01T00:00:00." + "0" * 8171 + "Z", "2024-01-01T00:00:00." + "0" * 8172 + "Z"),
    ],
)
def test_size_is_in_bytes_of_utf8_or_compact_json(declared: str, at_limit: Any, above: Any) -> None:
    kind = PropertyType(declared)
    assert VALIDATORS[kind](at_limit, SIZE) is None
    assert VALIDATORS[kind](above, SIZE) is BIG


def test_type_comes_before_size() -> None:
    assert VALIDATORS[PropertyType.STRS](["x" * 9000, 1], SIZE) is VALUE


def test_a_small_configured_size_counts_for_atoms_too() -> None:
    assert VALIDATORS[PropertyType.INT](1234, 4) is None
    assert VALIDATORS[PropertyType.INT](12345, 4) is BIG


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", "str"),
        (1, "real"),
        (1.5, "real"),
        (True, "bool"),
        ([], "strs"),
        (["a"], "strs"),
        ([1, 2.5], "reals"),
        ([True], "bools"),
        (None, VALUE),
        ([1, "a"], VALUE),
        ([1, True], VALUE),
        ([None], VALUE),
        ([{"a": 1}, 1], ATOM),
        ([[]], ATOM),
    ],
)
def test_types_are_inferred_from_values(value: Any, expected: str) -> None:
    assert inferred_type(value) == expected


def test_reserved_values_are_strings_measured_in_characters() -> None:
    assert reserved_problem("é" * 128, 128) is None
    assert reserved_problem("é" * 129, 128) is BIG
    assert reserved_problem(5, 128) is VALUE
    assert reserved_problem(None, 128) is VALUE
    assert reserved_problem({"a": 1}, 128) is ATOM
    assert reserved_problem(["a"], 128) is ATOM
