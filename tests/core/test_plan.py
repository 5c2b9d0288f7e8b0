"""A plan of names, compiled: what it has, and how it is named."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from fsproxy.core.keys import METADATA, Key
from fsproxy.core.model import PropertyType
from fsproxy.core.name_digest import name_digest
from fsproxy.core.plan import Plan, PlanFile, PlannedEvent

INT, STR, REAL = PropertyType.INT, PropertyType.STR, PropertyType.REAL
LONG = "x" * 70


def test_a_plan_has_the_names_of_its_file_with_each_of_their_types() -> None:
    bought = PlannedEvent(properties={"total": (REAL,), "code": (STR, INT)}, required=("code",))
    plan = Plan.compile(
        "p.yaml", PlanFile(events={"Bought": bought, "Left": PlannedEvent()}, user_properties={"tier.x": (STR, INT)})
    )
    assert plan.events == {"Bought", "Left"}
    assert plan.event_properties == {"Bought/total_real", "Bought/code_str", "Bought/code_int"}
    assert plan.user_properties == {"tier.x_str", "tier.x_int"}
    assert plan.required == {"Bought": {"code": {"Bought/code_str", "Bought/code_int"}}}
    assert plan.types == {"tier.x": "str or int", "Bought/total": "real", "Bought/code": "str or int"}
    assert plan.unplanned(["Bought/total_real", "Bought/total_int", "Left/a_str"], of_event=True) == [
        "Bought/total_int",
        "Left/a_str",
    ]
    assert plan.unplanned(["tier.x_int", "tier_int"], of_event=False) == ["tier_int"]
    assert (plan.has_event("Left"), plan.has_event("left")) == (True, False)


def test_a_section_that_is_not_there_is_not_compared() -> None:
    of_users = Plan.compile("p.yaml", PlanFile(user_properties={}))
    assert of_users.has_event("any")
    assert of_users.unplanned(["any/a_str"], of_event=True) == []
    assert of_users.unplanned(["a_str"], of_event=False) == ["a_str"]
    of_events = Plan.compile("p.yaml", PlanFile(events={}))
    assert not of_events.has_event("any")
    assert of_events.unplanned(["a_str"], of_event=False) == []


@pytest.mark.parametrize("name", [LONG, "Bought"])
def test_a_name_is_planned_by_its_digest_as_well(name: str) -> None:
    digest = name_digest(name)
    plan = Plan.compile("p.yaml", PlanFile(events={}, digests=frozenset({digest[1:]})))
    assert (plan.has_event(name), plan.has_event(digest), plan.has_event("Left")) == (True, True, False)
    assert plan.unplanned([name, digest, "a/b_str"], of_event=True) == ["a/b_str"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (PlanFile(), "p.yaml (nothing)"),
        (PlanFile(events={}, user_properties={}), "p.yaml (0 events, 0 event properties, 0 user properties)"),
        (
            PlanFile(events={"A": PlannedEvent(properties={"a": (INT,)})}, user_properties={"b": (STR,)}, digests=frozenset({"0" * 32})),
            "p.yaml (1 event, 1 event property, 1 user property, 1 digest)",
        ),
        (
            PlanFile(user_properties={"b": (STR, INT)}, digests=frozenset({"0" * 32, "1" * 32})),
            "p.yaml (2 user properties, 2 digests)",
        ),
    ],
)  # fmt: skip
def test_a_plan_says_how_much_it_has(file: PlanFile, text: str) -> None:
    assert str(Plan.compile("p.yaml", file)) == text


@pytest.mark.parametrize("kind", [PlanFile, PlannedEvent])
def test_each_key_is_described_by_a_sentence(kind: type[PlanFile | PlannedEvent]) -> None:
    for each in fields(kind):
        key: Key = each.metadata[METADATA]
        assert re.fullmatch(r"[A-Z].*[a-z]\.", key.description), each.name
