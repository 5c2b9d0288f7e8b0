"""The API document that is generated from the handlers and the types of their answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fsproxy.admin.queries import LAST_SECOND
from fsproxy.admin.server import described
from fsproxy.config.schema import TopMode
from fsproxy.core.pipeline import Judgement

DOCUMENT: dict[str, Any] = json.loads(described())
OPERATIONS = {
    f"{method} {path}": each for path, methods in DOCUMENT["paths"].items() for method, each in methods.items()
}
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]


def references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if "$ref" in document:
            yield document["$ref"]
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            yield from references(each)


def test_every_reference_leads_to_a_schema_and_every_schema_is_referred_to() -> None:
    assert set(references(DOCUMENT)) == {f"#/components/schemas/{name}" for name in SCHEMAS}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_says_what_it_does_takes_and_answers(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation["summary"]
    assert all(each["description"] for each in operation["responses"].values())
    assert all(each["description"] and each["schema"]["type"] for each in operation.get("parameters", ()))
    guarded = {"401", "403"} <= set(operation["responses"])
    assert guarded == ("security" not in operation)


def test_every_type_says_what_it_is_and_which_values_it_has() -> None:
    assert all(each["description"] for each in SCHEMAS.values())
    assert set(SCHEMAS["TopMode"]["enum"]) == set(TopMode)
    assert set(SCHEMAS["Judgement"]["enum"]) == set(Judgement)
    assert SCHEMAS["Question"]["additionalProperties"] is False


def test_numbers_that_are_asked_for_have_bounds_and_a_default() -> None:
    asked = {
        f"{path} {each['name']}": [each["schema"].get(name) for name in ("minimum", "maximum", "default")]
        for path in ("/api/decisions", "/api/traffic")
        for each in DOCUMENT["paths"][path]["get"]["parameters"]
        if each["schema"]["type"] == "integer"
    }
    assert asked == {
        "/api/decisions limit": [1, 500, 100],
        "/api/decisions at": [0, LAST_SECOND, None],
        "/api/decisions minutes": [1, 1440, 1],
        "/api/traffic minutes": [1, 1440, 60],
        "/api/traffic step": [1, 24, 1],
    }


def test_texts_that_are_asked_for_are_of_bounded_length_or_from_a_list() -> None:
    schemas = [each["schema"] for each in DOCUMENT["paths"]["/api/decisions"]["get"]["parameters"]]
    assert all("maxLength" in each or "enum" in each for each in schemas if each["type"] == "string")
