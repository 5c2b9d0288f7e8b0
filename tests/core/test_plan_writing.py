"""A plan of names that is learned: which names are in it, and that every name is a key of YAML."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import Instant
from fsproxy.core.name_digest import name_digest
from fsproxy.core.plan_writing import NameRow, learned_plan
from fsproxy.core.settings import CoreSettings

NOW = Instant(1_795_287_301.0)
DAY = 86_400
CORE = CoreSettings()
RETENTION = int(CORE.default.client_api.cardinality.retention)
EVENT, PROPERTY, USER = NameKind.EVENT_NAME, NameKind.EVENT_PROPERTY, NameKind.USER_PROPERTY


def row(name: str, kind: NameKind = EVENT, org: str = "o-1", age: float = 0.0) -> NameRow:
    return org, kind, name, Instant(NOW - age)


def lines(*rows: NameRow, core: CoreSettings = CORE) -> list[str]:
    return learned_plan(rows, core, NOW).splitlines()


def test_a_plan_is_written_with_its_events_properties_and_types() -> None:
    found = lines(
        row("Bought/total_real", PROPERTY), row("Bought"), row("Bought", age=3 * DAY), row("Bought/a.code_str", PROPERTY),
        row("Bought/a.code_int", PROPERTY), row("Left", age=2 * DAY), row("Opened/x_str", PROPERTY),
        row("tier_str", USER), row("of the page", NameKind.PAGE_NAME), row("a_str", NameKind.PAGE_PROPERTY),
    )  # fmt: skip
    assert found[0] == "# A plan of names, learned on 2026-11-21 from o-1."
    assert found[3:] == [
        "version: 1",
        "events:",
        "  Bought:  # last seen 2026-11-21",
        "    properties:",
        "      a.code: [int, str]",
        "      total: real",
        "  Left: {}  # last seen 2026-11-19",
        "  Opened:",
        "    properties:",
        "      x: str",
        "user_properties:",
        "  tier: str",
    ]
    assert all(each.startswith("# ") for each in found[:3])
    assert found[1].endswith(" and give each event")
    assert found[2].endswith("required: [NAME, ...].")


def test_without_names_there_is_no_plan_and_without_events_an_empty_section() -> None:
    assert learned_plan([], CORE, NOW) == ""
    assert learned_plan([row("a", NameKind.PAGE_NAME), row("b_str", NameKind.PAGE_PROPERTY)], CORE, NOW) == ""
    assert lines(row("tier_str", USER))[3:] == ["version: 1", "events: {}", "user_properties:", "  tier: str"]
    assert lines(row("A"))[5:] == ["  A: {}  # last seen 2026-11-21", "user_properties: {}"]


def test_a_name_is_forgotten_at_the_end_of_its_orgs_retention() -> None:
    short = replace(
        CORE.default,
        client_api=replace(
            CORE.default.client_api, cardinality=replace(CORE.default.client_api.cardinality, retention=DAY)
        ),
    )
    core = replace(CORE, orgs={"o-short": short})
    ages = (DAY - 1, DAY, RETENTION - 1, RETENTION)
    rows = [row(f"{org}-{age}", org=org, age=age) for org in ("o-short", "o-else") for age in ages]
    found = [each.strip().partition(":")[0] for each in lines(*rows, core=core) if "last seen" in each]
    assert found == [f"o-else-{age}" for age in sorted(ages[:3], key=str)] + [f"o-short-{DAY - 1}"]


@pytest.mark.parametrize(
    ("orgs", "named"),
    [
        (["o-2", "o-1"], "o-1, o-2"),
        (["o-1", "a b"], "o-1, 1 other org"),
        (["[x]", "a\nb"], "2 other orgs"),
        (["o" * 64, "o" * 65], f"{'o' * 64}, 1 other org"),
        (["A_.:~-9"], "A_.:~-9"),
        ([f"o-{each:02}" for each in range(20)], ", ".join(f"o-{each:02}" for each in range(20))),
        ([f"o-{each:02}" for each in range(22)], ", ".join(f"o-{each:02}" for each in range(20)) + ", 2 other orgs"),
    ],
)
def test_a_plan_names_the_orgs_that_it_was_learned_from(orgs: list[str], named: str) -> None:
    assert lines(*(row("A", org=each) for each in orgs))[0] == f"# A plan of names, learned on 2026-11-21 from {named}."


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Order Completed-2", "Order Completed-2"),
        ("a  b", '"a  b"'),
        ("null", "null"),
        ("9", '"9"'),
        ("größe", '"größe"'),
        ("X: 1", '"X: 1"'),
        ('a"\\', r'"a\U00000022\U0000005c"'),
        ("[{,}]", r'"\U0000005b\U0000007b\U0000002c\U0000007d\U0000005d"'),
        ("a\n: #", r'"a\U0000000a: #"'),
    ],
)
def test_every_name_is_a_key_of_yaml(name: str, key: str) -> None:
    assert lines(row(name))[5] == f"  {key}: {{}}  # last seen 2026-11-21"


@pytest.mark.parametrize("half", ["\ud800", "a\udbff", "\udc00b", "x\udfff"])
def test_of_long_names_and_those_that_no_text_can_hold_digests_are_written(half: str) -> None:
    found = lines(row(name_digest("x" * 70)), row(half), row("A"))
    at = found.index("digests:")
    assert found[at + 1 :] == sorted(f'  - "{name_digest(each)[1:]}"' for each in ("x" * 70, half))
    assert found[at - 2] == "# Only digests are kept of names of more than 64 characters. Write the names that"
    assert found[at - 1] == "# you know above, and take these out."
    assert "digests:" not in lines(row("A"), row("\ud7ff"), row("\ue000"))
