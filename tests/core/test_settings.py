"""What an org is when nothing is said of it, and what makes two settings the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest

from fsproxy.core import settings
from fsproxy.core.keys import METADATA, Key, Leaf, ListOf
from fsproxy.core.settings import CoreSettings, OrgSettings


def test_an_org_of_which_nothing_is_said_is_unlisted_enabled_and_may_be_mobile() -> None:
    org = OrgSettings()
    assert (org.listed, org.enabled, org.mobile) == (False, True, True)


@pytest.mark.parametrize("kind", [OrgSettings, CoreSettings])
def test_where_settings_stand_is_no_part_of_what_they_say(kind: type[OrgSettings | CoreSettings]) -> None:
    """Orgs with the same settings share their lookup tables, wherever in the file they stand."""
    moved = kind(places={"enabled": "fsproxy.yaml:9:5"})
    assert moved == kind()
    assert "fsproxy.yaml" not in repr(moved)
    assert kind().places.get("enabled") is None


def _keys() -> Iterator[tuple[str, Key]]:
    for kind in vars(settings).values():
        if isinstance(kind, type) and is_dataclass(kind):
            for each in fields(kind):
                if METADATA in each.metadata:
                    yield f"{kind.__name__}.{each.name}", each.metadata[METADATA]


KEYS = dict(_keys())


def test_every_key_is_described_and_names_the_words_that_it_takes() -> None:
    assert len(KEYS) > 100
    for name, key in KEYS.items():
        assert re.fullmatch(r"[A-Za-z].*[a-z0-9.)]", key.description), name
        if isinstance(key.reader, Leaf):
            words = list(key.reader.known())
            assert len(words) > 9 or all(each in key.description for each in words), name


@pytest.mark.parametrize(
    ("text", "fits"),
    [("10/s", True), ("30/min", True), ("5/h per page", True), ("10", False), ("10/d", False), ("x10/s", False)],
)
def test_editors_allow_a_rate_as_it_may_be_written(text: str, *, fits: bool) -> None:
    reader = KEYS["RateSettings.event"].reader
    assert isinstance(reader, ListOf)
    assert reader.schema["type"] == "string"
    assert (re.search(reader.schema["pattern"], text) is not None) is fits


def test_editors_allow_a_rule_alone_or_with_its_id_and_nothing_else() -> None:
    reader = KEYS["IpSettings.block"].reader
    assert isinstance(reader, ListOf)
    alone, rule = reader.schema["anyOf"][:2]
    assert set(alone["type"]) == {"string", "number", "boolean", "null"}, "YAML takes a bare word for any of these"
    assert (rule["type"], rule["required"]) == ("object", ["pattern"])
    assert set(rule["properties"]) == {"pattern", "id"}
    assert rule["additionalProperties"] is False
