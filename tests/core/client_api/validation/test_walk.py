"""Corners of the walk through a call's properties: reserved names, schemas over objects, and what counts."""

from __future__ import annotations

from typing import Any

import pytest

from fsproxy.core.client_api.calls import MAX_LEAVES, Call, Typing
from fsproxy.core.client_api.validation.call import validate_call
from fsproxy.core.model import CallKind
from fsproxy.core.settings import ClientApiSettings

SETTINGS = ClientApiSettings()


def found(kind: CallKind, properties: dict[str, Any], schema: dict[str, Any], typing: Typing) -> list[tuple[str, Any]]:
    call = Call(kind=kind, name="E", properties=properties, schema=schema, typing=typing)
    return [(each.code.value, each.property) for each in validate_call(call, SETTINGS).rejections]


@pytest.mark.parametrize("typing", [Typing.SCHEMA, Typing.INFERRED])
@pytest.mark.parametrize(
    ("described", "code"),
    [
        ("str", "ExpectedAtom"),
        ("foo", "InvalidPropertyType"),
        ("", "InvalidPropertyType"),
        (5, "InvalidPropertyType"),
        (True, "InvalidPropertyType"),
    ],
)
def test_a_schema_that_describes_an_object_as_one_value_is_wrong_in_one_way_or_the_other(
    typing: Typing, described: object, code: str
) -> None:
    assert found(CallKind.EVENT, {"o": {"a": "x"}}, {"o": described}, typing) == [(code, "o")]


def test_a_schema_that_describes_an_object_as_an_object_is_followed() -> None:
    assert found(CallKind.EVENT, {"o": {"a": "x"}}, {"o": {"a": "int"}}, Typing.SCHEMA) == [("InvalidValue", "o.a")]
    assert found(CallKind.EVENT, {"o": {"a": "x"}}, {"o": {"a": "str"}}, Typing.SCHEMA) == []


def test_the_uid_of_an_identify_is_one_of_its_properties() -> None:
    """It counts among the 5,000, is never cut, and keeps the call when all others fail."""
    many: dict[str, Any] = {"uid": "u"} | {f"a{number}_int": 1 for number in range(MAX_LEAVES)}
    assert found(CallKind.IDENTIFY, many, {}, Typing.SUFFIX) == [("CardinalityExceeded", "a4999_int")]
    del many["a0_int"]
    assert found(CallKind.IDENTIFY, many, {}, Typing.SUFFIX) == []
    left = validate_call(Call(kind=CallKind.IDENTIFY, properties={"uid": "u", "a_int": "x"}), SETTINGS)
    assert (left.rejected, left.cuts) == (False, (("a_int",),))
    none = validate_call(Call(kind=CallKind.SET_USER_VARS, properties={"a_int": "x"}), SETTINGS)
    assert none.rejected
    both = validate_call(Call(kind=CallKind.IDENTIFY, properties={"uid": "u", "a_int": "x", "b_int": 1}), SETTINGS)
    assert (both.rejected, both.cuts) == (False, (("a_int",),))


@pytest.mark.parametrize("inside", [{"a": 1, "p": {"b": 1}}, {"e": {}, "a": 1}, {"a": 1, "b": 1}, {"e": {}}])
def test_the_entry_of_an_object_stays_with_it(inside: dict[str, Any]) -> None:
    call = Call(kind=CallKind.EVENT, name="E", properties={"o": inside, "bad": None}, schema={"o": {}},
                typing=Typing.INFERRED)  # fmt: skip
    judged = validate_call(call, SETTINGS)
    assert (judged.cuts, judged.schema_cuts) == ((("bad",),), ())


def test_empty_objects_in_a_list_count_as_properties() -> None:
    for count, code in ((MAX_LEAVES - 1, []), (MAX_LEAVES, [("CardinalityExceeded", "a_int")])):
        call = Call(kind=CallKind.EVENT, name="Order Completed", properties={"l": [{}] * count, "a_int": 1})
        assert [(each.code.value, each.property) for each in validate_call(call, SETTINGS).rejections] == code
