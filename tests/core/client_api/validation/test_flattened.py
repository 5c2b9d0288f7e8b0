"""Schemas of the second generation whose entries are dotted paths, nested, or both (rules.md 2)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.outcome import decide_calls
from fsproxy.core.client_api.reading.server_api import ServerCall
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.client_api.validation.flattened import FlattenedEntries
from fsproxy.core.model import Route
from fsproxy.core.settings import ClientApiSettings

SETTINGS = ClientApiSettings()
Found = tuple[list[tuple[str, str | None]], Any, Any]


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def in_bundle(properties: dict[str, Any], schema: dict[str, Any], version: int, name: str = "E") -> Found:
    """The rejections, and what is left of properties and schema."""
    args = [name, compact(properties), None, version, compact(schema)]
    body = compact({"Evts": [{"Kind": 8197, "Args": args, "When": 1}]}).encode()
    inspection = inspect(SETTINGS, Route.BUNDLE, body)
    outcome = decide_calls(inspection, {}, (), SETTINGS)
    left = json.loads(rewrite(inspection, outcome) or body)["Evts"][0]["Args"]
    return [(each.code.value, each.property) for each in outcome.rejections], json.loads(left[1]), json.loads(left[4])


def on_server(properties: dict[str, Any], schema: dict[str, Any]) -> Found:
    body = compact({"uid": "u", "properties": properties, "schema": {"properties": schema}}).encode()
    inspection = inspect(SETTINGS, Route.SERVER_API, body, endpoint=ServerCall.USER)
    outcome = decide_calls(inspection, {}, (), SETTINGS)
    left = json.loads(rewrite(inspection, outcome) or body)
    found = [(each.code.value, each.property) for each in outcome.rejections]
    return found, left["properties"], left["schema"]["properties"]


SCHEMAS: dict[str, dict[str, Any]] = {
    "flattened": {"o.p.code": "int"},
    "nested": {"o": {"p": {"code": "int"}}},
    "flattened in nested": {"o": {"p.code": "int"}},
    "nested in flattened": {"o.p": {"code": "int"}},
    "both": {"o.p.code": "int", "o": {"p": {"code": "int"}}},
}


@pytest.mark.parametrize("form", SCHEMAS)
@pytest.mark.parametrize("version", [1, 2])
def test_a_type_holds_in_every_form_and_goes_with_its_property(form: str, version: int) -> None:
    schema = {**SCHEMAS[form], "z": "int"}
    for value, code in ((5, None), ("abc", "InvalidValue"), (1.5, "InvalidValue"), ({"x": 1}, "ExpectedAtom")):
        properties = {"o": {"p": {"code": value}}, "z": 1}
        expected = ([], properties, schema) if code is None else ([(code, "o.p.code")], {"z": 1}, {"z": "int"})
        assert in_bundle(properties, schema, version) == expected


def test_a_type_of_users_of_the_server_api_may_be_a_dotted_path() -> None:
    for value, kept in ((5, True), ("abc", False)):
        found, properties, schema = on_server({"location": {"code": value}, "ok": "y"}, {"location.code": "int"})
        assert ("location" in properties, "location.code" in schema, bool(found)) == (kept, kept, not kept)


def test_names_of_both_generations_count_as_one_and_others_keep_their_entries() -> None:
    found, properties, schema = in_bundle(
        {"o": {"a": 1, "b": "x"}, "c": 1}, {"o.a": "str", "o.b": "str", "o.unused": "int", "c": "int"}, 2
    )
    assert found == [("InvalidValue", "o.a")]
    assert properties == {"o": {"b": "x"}, "c": 1}
    assert schema == {"o.b": "str", "o.unused": "int", "c": "int"}


@pytest.mark.parametrize("second", ["str", "nonsense", 5])
def test_two_types_for_one_property_are_none(second: object) -> None:
    found, properties, schema = in_bundle({"o": {"a": 1}, "z": 1}, {"o": {"a": "int"}, "o.a": second, "z": "int"}, 2)
    assert found == [("InvalidPropertyType", "o.a")]
    assert (properties, schema) == ({"z": 1}, {"z": "int"})


def test_an_object_that_is_declared_as_one_value_is_cut_with_all_entries_below_it() -> None:
    schema = {"o": "int", "o.a": "int", "o.b.c": "str", "other": "int", "o2.a": "int"}
    found, properties, left = in_bundle({"o": {"a": 1, "b": {"c": "x"}}, "other": 1, "o2": {"a": 1}}, schema, 2)
    assert found == [("ExpectedAtom", "o")]
    assert (properties, left) == ({"other": 1, "o2": {"a": 1}}, {"other": "int", "o2.a": "int"})


@pytest.mark.parametrize(
    ("schema", "left"),
    [
        ({"t": {}, "z": "int"}, {"z": "int"}),
        ({"t": {"u": {}}, "z": "int"}, {"z": "int"}),
        ({"t.u": {}, "z": "int"}, {"z": "int"}),
        ({"t": {"other": "int"}, "z": "int"}, {"t": {"other": "int"}, "z": "int"}),
    ],
)
def test_an_object_of_which_nothing_is_left_takes_its_empty_entry_along(schema: Any, left: Any) -> None:
    found, properties, after = in_bundle({"t": {"u": {"x": 1}}, "z": 1}, schema, 1)
    assert found == [("MissingPropertyType", "t.u.x")]
    assert (properties, after) == ({"z": 1}, left)


def test_elements_of_a_list_share_a_flattened_entry() -> None:
    products = [{"price": 1}, {"price": "x"}]
    found, properties, schema = in_bundle({"products": products}, {"products.price": "int"}, 1, "Order Completed")
    assert found == [("InvalidValue", "products.price")]
    assert (properties, schema) == ({"products": [{"price": 1}, {}]}, {"products.price": "int"})


def test_a_schema_of_any_depth_and_with_long_paths_is_read() -> None:
    deep: dict[str, Any] = {"a": 1}
    for _ in range(400):
        deep = {"a": deep}
    found, properties, _ = in_bundle({"a": deep, "z": 1}, {"a": deep, ".".join("a" * 5_000): "int", "z": "int"}, 2)
    assert [code for code, _ in found] == ["PropertyNameTooLong"]
    assert properties == {"z": 1}


def test_entries_in_a_list_of_the_schema_are_found_with_their_place() -> None:
    entries = FlattenedEntries({"l": [{"a.b": "int"}, "x", [{"c.d": "str"}]], "e": 5}, ("s",), 99)
    assert entries.at("l.a.b") == [(("s", "l", 0, "a.b"), "int")]
    assert entries.at("l.c.d") == [(("s", "l", 2, 0, "c.d"), "str")]
    assert entries.under("l") == [("s", "l", 0, "a.b"), ("s", "l", 2, 0, "c.d")]
    assert entries.at("l") == entries.at("e") == []
