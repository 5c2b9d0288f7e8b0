"""The spelling of names, and the types that suffixes declare (rules.md 2)."""

from __future__ import annotations

import pytest

from fsproxy.core.client_api.validation.names import read_name
from fsproxy.core.model import PropertyType
from fsproxy.core.reasons import RejectionCode

SUFFIXES = ["str", "int", "real", "date", "bool", "strs", "ints", "reals", "dates", "bools"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_of_the_ten_suffixes_declares_its_type(suffix: str) -> None:
    assert read_name(f"price_{suffix}", False) is PropertyType(suffix)


def test_the_ten_types_are_all() -> None:
    assert sorted(PropertyType) == sorted(SUFFIXES)


@pytest.mark.parametrize("key", ["a_str", "A_str", "a1_str", "a__str", "a_b_c_str", "str_str", "a_1_str"])
def test_a_letter_then_letters_digits_and_underscores_is_a_name(key: str) -> None:
    assert read_name(key, False) is PropertyType.STR


@pytest.mark.parametrize(
    "key",
    [
        "",
        "_str",
        "9x_str",
        "0",
        "sp ace_str",
        "a.b_str",
        "dash-name_str",
        "é_str",
        "a\u0661_str",
        "a_str\n",
        "a_str ",
        "a/b_str",
    ],
)
def test_anything_else_is_no_name(key: str) -> None:
    assert read_name(key, False) is RejectionCode.INVALID_PROPERTY_NAME


def test_a_hyphen_is_allowed_only_when_configured() -> None:
    assert read_name("dash-name_str", True) is PropertyType.STR
    assert read_name("-dash_str", True) is RejectionCode.INVALID_PROPERTY_NAME
    assert read_name("dash-name_str", False) is RejectionCode.INVALID_PROPERTY_NAME


@pytest.mark.parametrize("key", ["a", "price", "str", "Abc9"])
def test_without_an_underscore_the_type_is_missing(key: str) -> None:
    assert read_name(key, False) is RejectionCode.MISSING_PROPERTY_TYPE


@pytest.mark.parametrize("key", ["a_", "a_foo", "a_Str", "a_STR", "a_str_", "a_strss", "a_objs", "a_string", "str_x"])
def test_what_follows_the_last_underscore_must_be_one_of_the_ten(key: str) -> None:
    assert read_name(key, False) is RejectionCode.INVALID_PROPERTY_TYPE


def test_a_name_too_long_to_be_remembered_reads_the_same() -> None:
    assert read_name("a" * 600 + "_int", False) is PropertyType.INT
    assert read_name("a" * 600 + "!", False) is RejectionCode.INVALID_PROPERTY_NAME
