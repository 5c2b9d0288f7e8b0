"""Objects that pass at a glance: only what was met and cannot break a rule."""

from __future__ import annotations

from typing import Any

import pytest

from fsproxy.core.client_api.validation.plain import LONGEST, are_plain, note
from fsproxy.core.client_api.validation.values import LONGEST_ATOM
from fsproxy.core.model import PropertyType

STR, INT, REAL, BOOL = PropertyType.STR, PropertyType.INT, PropertyType.REAL, PropertyType.BOOL
SIZE = 400


def is_met(name: str, kind: type, declared: object) -> bool:
    """Whether a name is known for a type of value once it was noted."""
    note(name, kind, declared)
    return are_plain({name: kind()}, SIZE, small=True)


@pytest.mark.parametrize(
    ("kind", "declared", "met"),
    [
        (str, STR, True),
        (int, INT, True),
        (int, REAL, True),
        (float, REAL, True),
        (bool, BOOL, True),
        (float, INT, False),
        (str, PropertyType.DATE, False),
        (list, PropertyType.STRS, False),
        (str, None, False),
    ],
)
def test_a_name_is_known_for_the_types_of_which_only_the_size_matters(
    kind: type, declared: object, *, met: bool
) -> None:
    assert is_met(f"plain_{kind.__name__}_{declared}", kind, declared) is met


def test_a_name_is_known_for_the_type_that_it_was_met_with_alone() -> None:
    note("met_real", int, REAL)
    assert are_plain({"met_real": 1}, SIZE, small=True)
    for members in ({"met_real": 1.5}, {"met_real": True}, {"met_real": 1, "unmet_real": 1}):
        assert not are_plain(members, SIZE, small=True)


def test_long_names_and_names_with_hyphens_are_not_remembered() -> None:
    """Not every setting allows a hyphen."""
    assert LONGEST == 96
    for name, met in (("l" * 92 + "_str", True), ("l" * 93 + "_str", False), ("hy-phen_str", False)):
        assert is_met(name, str, STR) is met, name


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("x" * 400, True),
        ("x" * 401, False),
        ("é" * 200, True),
        ("é" * 201, False),
        ("\U0001f600" * 100, True),
        ("\U0001f600" * 101, False),
        (2**63 - 1, True),
        (2**63, False),
        (-(2**63), True),
        (-(2**63) - 1, False),
    ],
)
def test_every_value_is_within_its_limit(value: object, *, plain: bool) -> None:
    note("limit_str", str, STR)
    note("limit_int", int, INT)
    note("other_str", str, STR)
    name = "limit_int" if type(value) is int else "limit_str"
    for members in ({name: value}, {"other_str": "x", name: value}, {name: value, "other_str": "\U0001f600" * 100}):
        assert are_plain(members, SIZE, small=False) is plain
        assert are_plain(members, SIZE, small=True) is (plain or name == "limit_str")


def test_where_a_number_may_be_too_large_members_are_looked_at_one_by_one() -> None:
    note("small_bool", bool, BOOL)
    members: dict[str, Any] = {"small_bool": True}
    assert are_plain(members, LONGEST_ATOM, small=False)
    assert not are_plain(members, LONGEST_ATOM - 1, small=False)


def test_names_that_were_met_long_ago_may_be_forgotten_and_the_latest_are_known() -> None:
    for number in range(9_000):
        note(f"of_many{number}_bool", bool, BOOL)
    assert are_plain({"of_many8999_bool": True}, SIZE, small=True)
    assert not are_plain({"of_many0_bool": True}, SIZE, small=True)
