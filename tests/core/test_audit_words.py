"""The words of audit lines, which readers of old lines rely on."""

from __future__ import annotations

from fsproxy.core import audit_facts
from fsproxy.core.audit import AuditRecord, Outcome, is_due


def test_outcomes_are_named_as_ever_and_only_a_failure_is_one() -> None:
    assert [each.value for each in Outcome] == ["captured", "blocked", "forwarded", "rejected", "failed"]
    assert [each.value for each in Outcome if each.ecs == "failure"] == ["failed"]
    assert {each.ecs for each in Outcome} == {"success", "failure"}


def test_what_the_facts_say_is_said_in_the_same_words_as_ever() -> None:
    assert (audit_facts.NEW, audit_facts.UNDER_WAY, audit_facts.ADMITTED) == ("new", "under_way", "admitted")
    assert (audit_facts.MISSING, audit_facts.NOT_STRING, audit_facts.CONTROL) == ("missing", "not_string", "control")
    assert (audit_facts.TRUNCATED, audit_facts.HIDDEN) == ("truncated", "hidden")


def test_an_id_of_any_characters_falls_one_way_or_the_other() -> None:
    record = AuditRecord(
        timestamp="", version=1, action="other", outcome="success", decision="forwarded", method="GET", path="/",
        request_id="\ud800", generation=1, mode="enforce",
    )  # fmt: skip
    assert is_due(0.5, record) is is_due(0.5, record)
    assert not is_due(0.0, record)
    assert is_due(1.0, record)
