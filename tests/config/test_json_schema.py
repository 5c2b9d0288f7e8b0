"""The schema that editors get."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fsproxy.config.json_schema import json_schema
from fsproxy.config.key_tree import keys_of
from fsproxy.core.model import PropertyType
from fsproxy.core.plan import PlanFile


def properties(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        for name, found in node.get("properties", {}).items():
            yield f"{path}.{name}", found
        for name, found in node.items():
            yield from properties(found, f"{path}/{name}")
    elif isinstance(node, list):
        for found in node:
            yield from properties(found, path)


def test_every_key_is_described() -> None:
    """On the key itself, or on the section that it refers to, where the two would say the same."""
    schema = json_schema()
    found = dict(properties(schema, ""))

    def described(key: dict[str, Any]) -> bool:
        section = schema["$defs"].get(key.get("$ref", "").removeprefix("#/$defs/"), {})
        return bool(key.get("description") or section.get("description"))

    assert len(found) > 120
    assert [path for path, key in found.items() if not described(key)] == []


def test_what_an_org_overrides_is_described_for_who_writes_the_file() -> None:
    """In words of the file, and with how an override and the base section come together."""
    schema = json_schema()

    assert "key by key; lists are replaced" in schema["$defs"]["OrgSettings"]["description"]
    assert "``" not in json.dumps(schema)


def test_unknown_keys_are_refused_and_the_upstream_is_required() -> None:
    schema = json_schema()

    assert schema["additionalProperties"] is False
    assert schema["required"] == ["upstream"]
    assert all(section["additionalProperties"] is False for section in schema["$defs"].values())


def test_defaults_stand_as_users_write_them() -> None:
    schema = json.loads(json.dumps(json_schema()))

    assert schema["$defs"]["ServerConfig"]["properties"]["max_body"]["default"] == "64MB"
    assert schema["$defs"]["RampingStep"]["required"] == ["from", "share"]
    assert schema["$defs"]["RateSettings"]["properties"]["event"]["default"] == ["10/s", "30/min"]


def test_a_reference_to_the_environment_may_stand_for_any_scalar() -> None:
    port = json_schema()["$defs"]["ListenConfig"]["properties"]["port"]

    assert {"type": "string", "pattern": r"\$\{"} in port["anyOf"]


def test_a_plan_of_names_has_a_schema_of_its_own() -> None:
    schema = json_schema(keys_of(PlanFile))
    assert set(schema["properties"]) == {"version", "events", "user_properties", "digests"}
    assert set(schema["$defs"]) == {"PlannedEvent"}
    types = schema["$defs"]["PlannedEvent"]["properties"]["properties"]["additionalProperties"]["anyOf"]
    assert types[0]["enum"] == types[1]["items"]["enum"] == [str(each) for each in PropertyType]
