"""Which domain rules are over, or soon will be."""

from __future__ import annotations

from dataclasses import replace

from fsproxy.core.lapses import SOON_DAYS, due, lapses_of
from fsproxy.core.model import Mode
from fsproxy.core.settings import CoreSettings, DomainRule, DomainSettings, Entry, OrgSettings
from fsproxy.telemetry.config_conditions import lapsing

DAY = 86_400
BEGIN = 20_000 * DAY
"""2024-10-04."""


def core(*rules: DomainRule, mode: Mode = Mode.ENFORCE, own: DomainRule | None = None) -> CoreSettings:
    def org(*rules: DomainRule) -> OrgSettings:
        made = OrgSettings()
        return replace(made, filters=replace(made.filters, domain=DomainSettings(rules=rules, mode=mode)))

    base = org(*rules)
    orgs = {"o-same": base} | ({"o-own": org(own)} if own is not None else {})
    return CoreSettings(default=base, orgs=orgs)


LATE = DomainRule(False, Entry("a.example", "f:2:3"), until=BEGIN + 30 * DAY)
EARLY = DomainRule(True, Entry("b.example", "f:3:3"), "/pay/*", 0.5, BEGIN)


def test_every_rule_with_an_end_is_found_once_the_first_to_end_first() -> None:
    found = lapses_of(core(LATE, DomainRule(False, Entry("c.example")), own=EARLY))
    assert [(each.rule.id, each.rule.where) for each in found] == [
        ("domain:capture:b.example/pay/*", "f:3:3"),
        ("domain:block:a.example", "f:2:3"),
    ]
    assert lapses_of(core(LATE, mode=Mode.OFF)) == ()


def test_they_are_due_seven_days_before_and_ever_after() -> None:
    found = lapses_of(core(LATE))
    assert SOON_DAYS == 7
    assert list(due(found, BEGIN + 23 * DAY - 1)) == []
    for now, text in (
        (BEGIN + 23 * DAY, "the rule domain:block:a.example (f:2:3) lapses on 2024-11-03"),
        (BEGIN + 30 * DAY - 1, "the rule domain:block:a.example (f:2:3) lapses on 2024-11-03"),
        (BEGIN + 30 * DAY, "the rule domain:block:a.example (f:2:3) lapsed on 2024-11-03 and is skipped"),
        (BEGIN + 900 * DAY, "the rule domain:block:a.example (f:2:3) lapsed on 2024-11-03 and is skipped"),
    ):
        assert [each.text(now) for each in due(found, now)] == [text]


def test_a_rule_that_no_file_holds_is_named_without_a_place() -> None:
    (found,) = lapses_of(core(replace(LATE, pattern=Entry("a.example"))))
    assert found.text(BEGIN) == "the rule domain:block:a.example lapses on 2024-11-03"


def test_one_condition_names_the_first_and_counts_them() -> None:
    found = lapses_of(core(LATE, EARLY))
    assert list(lapsing((), BEGIN)) == []
    assert list(lapsing(found, BEGIN - 8 * DAY)) == []
    (one,) = lapsing(found, BEGIN)
    (both,) = lapsing(found, BEGIN + 24 * DAY)
    assert (one.count, both.count) == (1, 2)
    assert one.text.endswith("domain:capture:b.example/pay/* (f:3:3) lapsed on 2024-10-04 and is skipped")
    assert both.text.endswith(", and 1 more")
