"""The words of audit lines, which readers of old lines rely on."""

from __future__ import annotations

import json

import pytest

from fsproxy.core.audit import facts as audit_facts
from fsproxy.core.audit.record import Outcome, is_sampled
from fsproxy.core.model import Route, SessionFacts
from support.made_lines import line_of


def test_outcomes_are_named_as_ever_and_only_a_failure_is_one() -> None:
    assert [each.value for each in Outcome] == ["captured", "blocked", "forwarded", "rejected", "failed"]
    assert [each.value for each in Outcome if each.ecs == "failure"] == ["failed"]
    assert {each.ecs for each in Outcome} == {"success", "failure"}


def test_what_the_facts_say_is_said_in_the_same_words_as_ever() -> None:
    assert (audit_facts.NEW, audit_facts.UNDER_WAY, audit_facts.ADMITTED) == ("new", "under_way", "admitted")
    assert (audit_facts.MISSING, audit_facts.NOT_STRING, audit_facts.CONTROL) == ("missing", "not_string", "control")
    assert (audit_facts.TRUNCATED, audit_facts.HIDDEN) == ("truncated", "hidden")


def test_an_id_of_any_characters_falls_one_way_or_the_other() -> None:
    assert is_sampled(0.5, "\ud800") is is_sampled(0.5, "\ud800")
    assert not is_sampled(0.0, "\ud800")
    assert is_sampled(1.0, "\ud800")


def test_what_was_never_given_is_not_in_the_line_nor_what_is_empty() -> None:
    for facts in (None, SessionFacts(route=Route.BUNDLE)):
        written = json.loads(line_of(facts, Outcome.FORWARDED, route=Route.BUNDLE))
        assert "" not in written.values()
        assert not {key for key in written if "session" in key or "user" in key}
        assert not written.keys() & {"url.domain", "fsproxy.page_id"}


@pytest.mark.parametrize("route", [Route.PAGE, Route.BUNDLE, Route.SOCKET])
def test_only_the_lines_of_pages_carry_the_facts_of_a_page(route: Route) -> None:
    line = json.loads(line_of(SessionFacts(route=route, org="o-1"), Outcome.FORWARDED, route=route))
    assert ("fsproxy.facts" in line) is (route is Route.PAGE)
