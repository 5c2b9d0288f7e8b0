"""How requests of the past are found, counted, told in words and divided into pages."""

from __future__ import annotations

from typing import Any

import pytest

from fsproxy.admin import decisions
from fsproxy.admin.queries import Cursor, DecisionsQuery, TrafficQuery, read_query
from fsproxy.config.schema import AddressPrivacy, AuditConfig
from fsproxy.core.audit.privacy import address_mask
from fsproxy.core.audit.record import Outcome
from fsproxy.core.failures import Failure
from fsproxy.core.model import CallKind, FilterName, Hit, Instant, Rejection, Route, Rule, SessionFacts
from fsproxy.core.pipeline import Decision
from fsproxy.core.policy import Snapshot
from fsproxy.core.reasons import ReasonCode, RejectionCode
from fsproxy.core.replay.story import Rules
from fsproxy.core.settings import CoreSettings
from fsproxy.core.wire.client_address import parse_address
from fsproxy.telemetry.ring import Noted
from support.made_lines import line_of
from tests.support.urls import of_url

ADDRESS = "203.0.113.77"
CAPTURED = b'{"fsproxy.decision":"captured"}'


@pytest.mark.parametrize("privacy", AddressPrivacy)
def test_an_address_is_found_in_the_form_that_lines_hold(privacy: AddressPrivacy) -> None:
    audit = AuditConfig(client_ip=privacy, client_ip_key="key")
    address = parse_address(ADDRESS)
    assert address is not None
    facts = SessionFacts(route=Route.PAGE, client_ip=address)
    held = line_of(facts, mask=address_mask(privacy.value, "key"))
    assert decisions.wanted(DecisionsQuery(address=ADDRESS), audit)(held) is (privacy is not AddressPrivacy.NONE)
    assert decisions.wanted(DecisionsQuery(address="198.51.100.1"), audit)(held) is False


FACTS = SessionFacts(route=Route.PAGE, org="o-1", session_id='s"1', user_agent="Straße", **of_url("https://a.example/"))
BLOCKED = Decision(block=Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:block:10.0.0.0/8")))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "blocked captured"),
        ({"org": "o-1"}, "blocked captured"),
        ({"org": "o-"}, ""),
        ({"code": "5"}, "blocked"),
        ({"code": "blocked"}, "blocked"),
        ({"code": "captured"}, "captured"),
        ({"code": "-1"}, ""),
        ({"code": "InvalidEventName"}, ""),
        ({"code": "upstream_reset"}, ""),
        ({"session": 's"'}, "blocked captured"),
        ({"session": '"1'}, ""),
        ({"session": "\ud800"}, ""),
        ({"q": "STRASSE"}, "blocked captured"),
        ({"q": "ip filter"}, "blocked"),
        ({"q": "10.0.0.0/8"}, "blocked"),
        ({"q": "under_way"}, ""),
        ({"org": "o-1", "code": "5", "session": "s", "q": "a.example"}, "blocked"),
    ],
)
def test_a_line_is_found_by_all_that_is_asked_for(query: dict[str, Any], found: str) -> None:
    wanted = decisions.wanted(DecisionsQuery(**query), AuditConfig())
    assert wanted(line_of(FACTS, Outcome.BLOCKED, decision=BLOCKED)) is ("blocked" in found)
    assert wanted(line_of(FACTS, decision=Decision(token="t"))) is ("captured" in found)


# -- outcomes and pages

REJECTION = Rejection(RejectionCode.INVALID_EVENT_NAME, CallKind.EVENT, "a", None, "d")
LINES = {
    "blocked": line_of(FACTS, Outcome.BLOCKED, decision=BLOCKED),
    "captured": line_of(FACTS, decision=Decision(token="t")),
    "failed": line_of(FACTS, Outcome.FAILED, failure=Failure.UPSTREAM_REFUSED),
    "rejected": line_of(FACTS, Outcome.REJECTED, route=Route.EVENT, rejections=[REJECTION]),
    "cut": line_of(FACTS, Outcome.FORWARDED, route=Route.BUNDLE, rejections=[REJECTION]),
    "forwarded": line_of(FACTS, Outcome.FORWARDED, route=Route.BUNDLE),
}
KEPT = [Noted(number, name, line, Instant(100.0 + number)) for number, (name, line) in enumerate(LINES.items(), 1)]


def names(**query: Any) -> list[str]:
    shown, _, _ = decisions.find(KEPT, DecisionsQuery(**query), AuditConfig())
    return [each.where for each in shown]


def test_each_outcome_is_found_and_what_went_on_in_part_is_rejected_too() -> None:
    assert names() == ["forwarded", "cut", "rejected", "failed", "captured", "blocked"]
    for outcome in ("blocked", "captured", "failed"):
        assert names(outcome=outcome) == [outcome]
    assert names(outcome="rejected") == ["cut", "rejected"]
    assert names(outcome="forwarded") == ["forwarded", "cut"]


def test_a_line_is_found_by_the_code_of_a_rejection_and_by_its_failure() -> None:
    assert names(code="InvalidEventName") == ["cut", "rejected"]
    assert names(code="upstream_refused") == ["failed"]


def test_counts_are_of_all_outcomes_under_the_other_conditions_whatever_page_is_shown() -> None:
    everything = {"all": 6, "blocked": 1, "rejected": 2, "failed": 1, "captured": 1, "forwarded": 2}
    for query in (DecisionsQuery(), DecisionsQuery(outcome="failed"), DecisionsQuery(limit=1, outcome="rejected")):
        _, counts, _ = decisions.find(KEPT, query, AuditConfig())
        assert counts == everything
    _, counts, _ = decisions.find(KEPT, DecisionsQuery(code="upstream_refused"), AuditConfig())
    assert (counts["all"], counts["failed"], counts["blocked"]) == (1, 1, 0)
    assert decisions.matching(counts, DecisionsQuery(outcome="blocked")) == 0


def test_a_minute_holds_what_ended_in_it_from_its_beginning_to_its_end() -> None:
    kept = [Noted(1, "", LINES["captured"], Instant(at)) for at in (119.9, 120.0, 179.9, 180.0, 240.0)]

    def ends(**query: int) -> list[float]:
        return [each.ended for each in decisions.find(kept, DecisionsQuery(**query), AuditConfig())[0]]

    assert ends(at=120) == ends(at=179) == [179.9, 120.0]
    assert ends(at=120, minutes=2) == [180.0, 179.9, 120.0]


def test_a_page_goes_on_where_the_one_before_ended_though_new_ones_have_come() -> None:
    first, _, after = decisions.find(KEPT, DecisionsQuery(limit=4), AuditConfig())
    new = Noted(7, "new", LINES["blocked"], Instant(500.0))
    rest, counts, end = decisions.find([*KEPT, new], DecisionsQuery(limit=4, before=after), AuditConfig())
    assert [each.number for each in (*first, *rest)] == [6, 5, 4, 3, 2, 1]
    assert (counts["all"], end) == (7, "")


def test_lines_come_by_the_time_at_which_they_ended_also_after_the_clock_was_set_back() -> None:
    kept = [Noted(number, "", CAPTURED, Instant(at)) for number, at in ((1, 50.0), (2, 90.0), (3, 40.0), (4, 41.0))]
    one, _, after = decisions.find(kept, DecisionsQuery(limit=2), AuditConfig())
    two, _, _ = decisions.find(kept, DecisionsQuery(limit=2, before=after), AuditConfig())
    assert [each.number for each in (*one, *two)] == [2, 1, 4, 3]


def test_an_address_says_how_lines_have_it_and_for_how_many_it_stands() -> None:
    def asked(privacy: AddressPrivacy, address: str) -> tuple[str | None, float | None]:
        found = decisions.address_asked(address, AuditConfig(client_ip=privacy, client_ip_key="key"))
        assert found["asked"] == address
        return found["listed_as"], found["stands_for"]

    assert asked(AddressPrivacy.TRUNCATED, "203.0.113.77") == ("203.0.113.0", 256)
    assert asked(AddressPrivacy.TRUNCATED, "2001:db8::1") == ("2001:db8::", 2**80)
    assert asked(AddressPrivacy.FULL, "203.0.113.77") == ("203.0.113.77", 1)
    assert asked(AddressPrivacy.NONE, "203.0.113.77") == (None, None)
    hashed, alike = asked(AddressPrivacy.HASHED, "203.0.113.77")
    assert (len(hashed or ""), alike) == (16, 1)
    assert asked(AddressPrivacy.HASHED, hashed or "") == (hashed, 1)


# -- stories


def test_a_line_is_told_in_words_with_the_place_that_its_own_generation_knew() -> None:
    rules = Rules("the configuration", Snapshot.compile(CoreSettings(), 7))
    (told,) = decisions.tell([Noted(1, "f.yaml:3:5", LINES["blocked"], Instant(1.0))], rules)
    story = dict(told["story"])
    assert story["decision"] == "The request was blocked with reason_code 5 (IP Filter). The answer had status 200."
    assert story["place"] == "f.yaml:3:5 (as the file is now; generation 7 may have been another)"
    later = Rules("the configuration", Snapshot.compile(CoreSettings(), 8))
    (told,) = decisions.tell([Noted(1, "f.yaml:3:5", LINES["blocked"], Instant(1.0))], later)
    assert dict(told["story"])["place"] == "It is not in the configuration as it is now; generation 7 had it."


# -- questions


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"limit": "0"}, "limit is a number from 1 to 500"),
        ({"limit": "1e2"}, "limit is a number from 1 to 500"),
        ({"outcome": "Blocked"}, "outcome is one of captured, blocked, forwarded, rejected, failed"),
        ({"code": '5,"rule.id'}, "code is one of -1, 1, 2, 3"),
        ({"at": "-60"}, "at is a number from 0 to 253402300799"),
        ({"minutes": "x"}, "minutes is a number from 1 to"),
        ({"q": "x" * 257}, "q is a text of at most 256 characters"),
        ({"address": "nonsense"}, "address is an IPv4 or IPv6 address"),
        ({"before": "12"}, "before is next of an answer before"),
        ({"ogr": "o-1"}, "there is no parameter ogr: org, outcome, code, session, address, q, at"),
    ],
)
def test_a_question_that_is_wrong_says_which_part_and_what_is_allowed(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError) as found:  # noqa: PT011 - its text is looked at
        read_query(DecisionsQuery, given)
    assert str(found.value).startswith(said)


def test_a_question_is_read_with_what_was_left_out() -> None:
    query = read_query(DecisionsQuery, {"code": "-1", "at": "60", "org": "o"})
    assert (query.code, query.at, query.org, query.limit, query.minutes) == ("-1", 60, "o", 100, 1)
    assert read_query(TrafficQuery, {}) == TrafficQuery()


def test_a_cursor_is_read_as_it_was_written_and_means_the_same_place_to_every_worker() -> None:
    cursor = Cursor(1_795_287_341_564_001, 2, 77)
    assert Cursor.parse(str(cursor)) == cursor
    assert cursor.of_worker(2) == Cursor(cursor.microsecond, 0, 77)
    assert cursor.of_worker(1) > Cursor(cursor.microsecond, 0, 10**9), "ended in the same moment: it comes after"
    assert cursor.of_worker(3) <= Cursor(cursor.microsecond, 0, 1), "it came before"
