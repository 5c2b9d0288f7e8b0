"""The plan of names is a file of its own: read with the configuration, and with its faults at its own places."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsproxy.config.files import SentFiles
from fsproxy.config.loader import lists_in, load, load_text
from fsproxy.config.problems import ConfigError
from fsproxy.core.model import Mode

UPSTREAM = "upstream: {url: http://a}\n"


def faults(plan: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load_text(UPSTREAM + "plan: {file: p.yaml}", "f.yaml", {}, SentFiles({"p.yaml": plan}))
    return [str(each) for each in raised.value.problems]


def test_all_faults_of_a_plan_are_told_at_once_with_their_places_and_what_is_allowed() -> None:
    plan = """\
events:
  Bought:
    properties: {total: reel, 9lives: int, cart.: str, items: [strs, many], size: []}
    required: [totall]
    requires: [total]
  Left: [a]
user_properties: {a b: str}
eventz: {}
digests: [x]
"""
    types = "str, int, real, date, bool, strs, ints, reals, dates, bools"
    form = "letters, digits, _ and -, each part after a dot beginning with a letter"
    assert faults(plan) == [
        f'p.yaml:3:25: events.Bought.properties.total: "reel" is not a type; allowed: {types}',
        f"p.yaml:3:31: events.Bought.properties.9lives: is not a property's name; allowed: {form}",
        f"p.yaml:3:44: events.Bought.properties.cart.: is not a property's name; allowed: {form}",
        f'p.yaml:3:70: events.Bought.properties.items[1]: "many" is not a type; allowed: {types}',
        f"p.yaml:3:83: events.Bought.properties.size: a list is not a type; allowed: one or a list: {types}",
        (
            'p.yaml:4:16: events.Bought.required[0]: "totall" is not among the properties of this event; '
            "allowed: 9lives, cart., items, size, total"
        ),
        (
            "p.yaml:5:5: events.Bought.requires: is not a known key (did you mean required?); "
            "allowed: properties, required"
        ),
        "p.yaml:6:9: events.Left: a list is not a section; allowed: a mapping of keys",
        f"p.yaml:7:19: user_properties.a b: is not a property's name; allowed: {form}",
        (
            "p.yaml:8:1: eventz: is not a known key (did you mean events?); "
            "allowed: digests, events, user_properties, version"
        ),
        'p.yaml:9:11: digests[0]: "x" is not a digest; allowed: 32 letters and digits that plan learn has written',
    ]


def test_a_fault_of_the_plan_shows_its_line() -> None:
    with pytest.raises(ConfigError) as raised:
        load_text(
            UPSTREAM + "plan: {file: p.yaml}", "f.yaml", {}, SentFiles({"p.yaml": "events: {A: {properties: {b: c}}}"})
        )
    assert [each.excerpt for each in raised.value.problems] == [
        "   1 | events: {A: {properties: {b: c}}}\n     |                              ^"
    ]


@pytest.mark.parametrize(
    ("plan", "fault"),
    [
        ("- a", "p.yaml:1:1: a list is not a section; allowed: a mapping of keys"),
        ("events: {a: {}, a: {}}", "p.yaml:1:17: events.a: is there twice, first in line 1; allowed: once"),
        ("", "p.yaml:1:1: the file is empty; allowed: a mapping of keys"),
    ],
)
def test_what_is_no_plan_is_told(plan: str, fault: str) -> None:
    assert faults(plan) == [fault]


def test_a_plan_that_is_not_there_is_a_fault_of_its_key(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(UPSTREAM + "plan: {file: p.yaml}")
    with pytest.raises(ConfigError) as raised:
        load(file, {})
    assert [str(each).removeprefix(f"{tmp_path}/") for each in raised.value.problems] == [
        'f.yaml:2:14: plan.file: "p.yaml" is not there; allowed: a YAML file in UTF-8, its path relative to this file'
    ]
    assert raised.value.files == (str(file), str(tmp_path / "p.yaml"))


def test_the_plan_is_among_the_files_of_the_configuration(tmp_path: Path) -> None:
    file, plan = tmp_path / "f.yaml", tmp_path / "p.yaml"
    plan.write_text("events: {A: {properties: {b: str, c.d: [int, real]}}}")
    file.write_text(UPSTREAM + "plan: {file: p.yaml}")
    config = load(file, {})
    assert config.files == (str(file), str(plan))
    assert config.core.default.plan.file is not None
    assert str(config.core.default.plan.file) == "p.yaml (1 event, 3 event properties)"


def test_an_org_may_have_a_plan_of_its_own_and_none() -> None:
    text = UPSTREAM + (
        "plan: {file: p.yaml, missing: cut}\n"
        "orgs: {listed: {a: {plan: {file: q.yaml}}, b: {plan: {file: null}}, c: {plan: {mode: shadow}}, d: {}}}"
    )
    core = load_text(text, "f.yaml", {}, SentFiles({"p.yaml": "events: {P: }", "q.yaml": "events: {Q: }"})).core
    plans = {name: org.plan for name, org in core.orgs.items()}
    assert [plans[name].file and plans[name].file.events for name in "abcd"] == [{"Q"}, None, {"P"}, {"P"}]  # type: ignore[union-attr]
    assert [plans[name].mode for name in "abcd"] == [Mode.ENFORCE, Mode.ENFORCE, Mode.SHADOW, Mode.ENFORCE]
    assert all(each.cuts_missing for each in plans.values())
    assert plans["d"] is core.default.plan


def test_plans_are_among_the_files_that_a_trial_sends() -> None:
    text = UPSTREAM + "plan: {file: p.yaml}\norgs: {listed: {a.b: {plan: {file: q.yaml}}, c: {plan: {file: null}}}}"
    assert sorted(lists_in(text, {})) == ["p.yaml", "q.yaml"]
