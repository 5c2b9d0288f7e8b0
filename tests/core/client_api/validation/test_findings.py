"""What the walk through a call finds: places of names, what survives, and how many properties there may be."""

from __future__ import annotations

from typing import Any

import pytest

from fsproxy.core.client_api.calls import MAX_LEAVES, Call, Typing
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.reading.server_api import ServerCall
from fsproxy.core.client_api.validation.call import validate_call
from fsproxy.core.model import CallKind, Route
from fsproxy.core.settings import ClientApiSettings
from support.call_samples import compact

SETTINGS = ClientApiSettings()


@pytest.mark.parametrize("at", [(), ("properties",)])
@pytest.mark.parametrize("schema_at", [(), ("schema", "properties")])
def test_places_are_relative_to_the_properties_and_to_the_schema(
    at: tuple[str, ...], schema_at: tuple[str, ...]
) -> None:
    made = {"kind": CallKind.EVENT, "name": "E", "at": at, "schema_at": schema_at}
    properties = {"a": 1, "o": {"b": "x", "c": True}}
    schema = {"a": "int", "o": {"c": "bool"}}
    found = validate_call(Call(properties=properties, schema=schema, typing=Typing.INFERRED, **made), SETTINGS)
    assert found.names == ("E/a_int", "E/o.b_str", "E/o.c_bool")
    assert found.places == ((("a",), ("a",)), (("o", "b"), None), (("o", "c"), ("o", "c")))
    suffixed = validate_call(Call(properties={"a_int": 1}, **made), SETTINGS)
    assert (suffixed.names, suffixed.places, suffixed.is_shared) == (("E/a_int",), (), False)


@pytest.mark.parametrize(
    ("properties", "schema", "shared"),
    [
        ({"a": 1}, {"a": "int"}, False),
        ({"o": {"a": 1}}, {"o.a": "int"}, True),
        ({"l": [{"a": 1}, {"a": 2}]}, {"l": [{"a": "int"}]}, True),
    ],
)
def test_an_entry_may_be_that_of_several_properties(
    properties: dict[str, Any], schema: dict[str, Any], *, shared: bool
) -> None:
    call = Call(kind=CallKind.EVENT, name="Order Completed", properties=properties, schema=schema, typing=Typing.SCHEMA)
    found = validate_call(call, SETTINGS)
    assert (found.rejections, found.is_shared, found.places == ()) == ((), shared, shared)


@pytest.mark.parametrize(
    ("user", "rejected"),
    [
        ({"uid": "u", "properties": {"a": None}}, False),
        ({"uid": "u", "properties": {"a": None, "b": 1}}, False),
        ({"display_name": "A", "properties": {"a": None}}, False),
        ({"display_name": 5, "properties": {"a": None}}, True),
        ({"properties": {"a": None}}, True),
    ],
)
def test_a_user_of_whom_anything_is_left_goes_on(user: dict[str, Any], *, rejected: bool) -> None:
    (call,) = inspect(SETTINGS, Route.SERVER_API, compact(user).encode(), endpoint=ServerCall.USER).calls
    assert call.validated.rejected is rejected
    assert call.validated.rejections


def test_reserved_properties_count_among_the_5000() -> None:
    properties: dict[str, Any] = {f"a{number}_int": 1 for number in range(MAX_LEAVES - 1)}
    for reserved, code in (
        ({"displayName": "A"}, []),
        ({"displayName": "A", "email": "e"}, [("CardinalityExceeded", "email")]),
    ):
        call = Call(kind=CallKind.SET_USER_VARS, properties=properties | reserved)
        assert [(each.code.value, each.property) for each in validate_call(call, SETTINGS).rejections] == code
