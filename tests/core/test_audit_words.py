"""The words of audit lines, which readers of old lines rely on."""

from __future__ import annotations

import msgspec
import pytest

from fsproxy.core.audit import facts as audit_facts
from fsproxy.core.audit.line import EndedRequest, audit_record
from fsproxy.core.audit.privacy import address_mask
from fsproxy.core.audit.record import AuditRecord, Outcome, is_due
from fsproxy.core.model import Instant, Route, SessionFacts
from fsproxy.core.pipeline import Decision
from fsproxy.core.policy import Snapshot
from fsproxy.core.settings import CoreSettings


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


def test_what_was_never_given_is_not_in_the_line_nor_what_is_empty() -> None:
    empty = dict.fromkeys(("session_id", "page_id", "user_id", "fresh_user_id", "domain"), "")
    for given in ({}, empty):
        record = AuditRecord(
            timestamp="t", version=1, action="other", outcome="success", decision="forwarded", method="GET", path="/",
            request_id="r", generation=1, mode="enforce", **given,
        )  # fmt: skip
        written = msgspec.json.decode(msgspec.json.encode(record))
        assert "" not in written.values()
        assert not {key for key in written if "session" in key or "user" in key}
        assert not written.keys() & {"url.domain", "fsproxy.page_id"}


@pytest.mark.parametrize("route", [Route.PAGE, Route.BUNDLE, Route.SOCKET])
def test_only_the_lines_of_pages_carry_the_facts_of_a_page(route: Route) -> None:
    ended = EndedRequest(
        now=Instant(1_795_287_341.5), route=route, outcome=Outcome.FORWARDED, method="POST", target="/", request_id="r",
        generation=1, mode="enforce",
        facts=SessionFacts(route=route, org="o-1"), decision=Decision(),
        policy=Snapshot.compile(CoreSettings(), 1).default, unnamed=False,
    )  # fmt: skip
    record = audit_record(ended, address_mask("full"), 20)
    assert (record.facts is not None) is (route is Route.PAGE)
