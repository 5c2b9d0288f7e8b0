"""One audit line in words: what an operator reads of a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fsproxy.core.failures import Failure
from fsproxy.core.model import FilterName, Mode
from fsproxy.core.policy import Snapshot
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.replay.story import Rules, story
from fsproxy.core.settings import CoreSettings, DomainRule, DomainSettings, Entry, IpSettings, UserAgentSettings

PAGE: Mapping[str, Any] = {
    "event.action": "page", "@timestamp": "2026-11-21T00:00:00.000Z", "http.request.id": "r", "organization.id": "o",
    "fsproxy.generation": 7, "fsproxy.mode": "enforce", "fsproxy.decision": "captured",
    "http.response.status_code": 200, "client.ip": "10.1.2.0", "url.domain": "a.example", "user_agent.original": "Agent",
    "fsproxy.facts": {"session": "new", "scheme": "https", "address": "truncated"},
}  # fmt: skip
BLOCKED = {
    "fsproxy.decision": "blocked", "fsproxy.reason_code": 5, "rule.id": "ip:block:10.0.0.0/8", "fsproxy.filter": "ip",
}  # fmt: skip
BLOCKS = IpSettings(
    block=(Entry("10.0.0.0/8", "f.yaml:3:5"), Entry("192.0.2.7", "f.yaml:4:5"), Entry("192.0.2.8", "f.yaml:5:5"))
)


def rules(**filters: Any) -> Rules:
    core = CoreSettings()
    org = replace(core.default, filters=replace(core.default.filters, **filters))
    return Rules("f.yaml", Snapshot.compile(replace(core, default=org), 7))


def lines_of(more: Mapping[str, Any], found: Rules | None = None, where: str = "") -> dict[str, list[str]]:
    """What is said of a page's line with these fields, by its label."""
    by_label: dict[str, list[str]] = {}
    for label, text in story({**PAGE, **more}, found, where):
        by_label.setdefault(label, []).append(text)
    return by_label


@pytest.mark.parametrize(
    ("more", "request_"),
    [
        (
            {
                "fsproxy.session_id": "s", "fsproxy.page_id": "p", "fsproxy.user_id": "u",
                "client.geo.region_iso_code": "US-CA", "client.geo.country_iso_code": "US",
            },
            ("org o, domain a.example, session s, which is new, page p, user u, address 10.1.2.0, location US-CA, "
            "User-Agent Agent"),
        ),
        (
            {"client.ip": None, "client.address": "0123abcd", "client.geo.country_iso_code": "US", "url.domain": ""},
            "org o, which is new, address 0123abcd, location US, User-Agent Agent",
        ),
        (
            {"fsproxy.facts": {"session": "under_way"}, "user_agent.original": "x" * 121},
            f"org o, domain a.example, which is under way, address 10.1.2.0, User-Agent {'x' * 120}",
        ),
        (
            {"fsproxy.facts": {"session": "admitted"}, "organization.id": "a\n"},
            (r"org a\u000a, domain a.example, which is new, of a visitor whom ramping admitted before, address 10.1.2.0, "
            "User-Agent Agent"),
        ),
        ({"fsproxy.facts": None}, "org o, domain a.example, address 10.1.2.0, User-Agent Agent"),
        (
            {"fsproxy.filter": "url", "fsproxy.url.length": 9, "fsproxy.facts": {"scheme": "ftp", "version": "1"}},
            "org o, domain a.example, scheme ftp, URL's length 9, address 10.1.2.0, User-Agent Agent",
        ),
        (
            {"fsproxy.filter": "script", "fsproxy.facts": {"scheme": "ftp", "version": "1.2", "compiled": 1754000000.5}},
            "org o, domain a.example, script's version 1.2, script built 2025-07-31, address 10.1.2.0, User-Agent Agent",
        ),
        (
            {"fsproxy.filter": "script", "fsproxy.facts": {"compiled": 1e30}},
            "org o, domain a.example, script built at an unknown time, address 10.1.2.0, User-Agent Agent",
        ),
        (
            {"fsproxy.filter": "script", "fsproxy.facts": {}},
            "org o, domain a.example, script built at an unknown time, address 10.1.2.0, User-Agent Agent",
        ),
    ],
)  # fmt: skip
def test_a_request_is_described_by_what_the_line_has(more: dict[str, Any], request_: str) -> None:
    assert lines_of(more)["request"] == [request_]


@pytest.mark.parametrize(
    ("more", "decision"),
    [
        ({}, "The page was captured. The answer had status 200."),
        ({"fsproxy.upstream.status_code": 200}, "The page was captured. The answer had status 200."),
        (
            {"fsproxy.upstream.status_code": 202, "http.response.status_code": 202},
            "The page was let through, but the upstream did not capture it. The answer had status 202.",
        ),
        (
            {"fsproxy.decision": "forwarded", "fsproxy.upstream.status_code": 500},
            "The request was forwarded. The answer had status 200.",
        ),
        (
            {"fsproxy.decision": "rejected", "http.response.status_code": 400},
            "The request was rejected: no valid call was in it, and nothing was forwarded. The answer had status 400.",
        ),
        (
            {"fsproxy.decision": "failed", "fsproxy.error": "client_gone", "http.response.status_code": None},
            f"The request failed. {Failure.CLIENT_GONE.detail} There was no answer.",
        ),
        (
            {"fsproxy.decision": "failed", "fsproxy.error": "of a later version\n"},
            r"The request failed. Of a later version\u000a. The answer had status 200.",
        ),
        ({"fsproxy.decision": "postponed"}, "Postponed. The answer had status 200."),
        (
            {**BLOCKED, "http.response.status_code": 202},
            "The request was blocked with reason_code 5 (IP Filter). The answer had status 202.",
        ),
    ],
)
def test_a_decision_is_said_with_its_answer(more: dict[str, Any], decision: str) -> None:
    assert lines_of(more)["decision"] == [decision]


@pytest.mark.parametrize(
    ("more", "upstream"),
    [
        ({}, "It was not asked."),
        ({"fsproxy.upstream.duration": 5}, "It was asked and did not answer."),
        ({"fsproxy.upstream.status_code": 200}, "It answered with status 200."),
        (
            {"fsproxy.upstream.status_code": 200, "fsproxy.upstream.duration": 2_500_000},
            "It answered with status 200 after 2.5 ms.",
        ),
        (
            {"fsproxy.upstream.status_code": 202, "fsproxy.upstream.reason_code": 3},
            "It answered with status 202. It blocked the session itself, with reason_code 3 (Over quota).",
        ),
    ],
)
def test_the_upstreams_part_is_said(more: dict[str, Any], upstream: str) -> None:
    assert lines_of(more)["upstream"] == [upstream]


def test_a_rule_is_named_with_its_filter_its_meaning_and_its_place() -> None:
    said = lines_of({**BLOCKED, "rule.id": "ip:block:192.0.2.x\n" + "y" * 300})
    assert said["rule"] == [r"ip:block:192.0.2.x\u000a" + "y" * 237 + " (filter ip), config generation 7"]
    assert "rules" not in said
    (meaning,) = said["meaning"]
    assert re.fullmatch(r"The visitor's address is blocked.*\.", meaning)
    assert said["place"] == ["With --config FILE, its line in that file is shown here."]
    assert lines_of({"rule.id": "a"})["rule"] == ["a (filter ?), config generation 7"]
    assert lines_of({})["rules"] == ["config generation 7, mode enforce"]
    assert lines_of({"fsproxy.mode": None})["rules"] == ["config generation 7, mode ?"]


@pytest.mark.parametrize(
    ("more", "of_its_page"),
    [
        ({"event.action": "bundle", "fsproxy.filter": "script"}, True),
        ({"event.action": "bundle", "fsproxy.filter": "opt_out"}, True),
        ({"event.action": "bundle", "fsproxy.filter": "ip"}, False),
        ({"event.action": "page", "fsproxy.filter": "script"}, False),
    ],
)
def test_an_upload_that_only_a_page_can_be_blocked_for_was_decided_on_its_page(
    more: dict[str, Any], *, of_its_page: bool
) -> None:
    (meaning,) = lines_of({**BLOCKED, **more})["meaning"]
    assert meaning.endswith(". This was decided on its page, which was blocked.") is of_its_page
    assert meaning.count("on its page") == of_its_page


AS_NOW = " (as the file is now; generation 7 may have been another)"


@pytest.mark.parametrize(
    ("rule", "where", "place"),
    [
        ("ip:block:10.0.0.0/8", "", f"f.yaml:3:5{AS_NOW}"),
        ("ip:block:10.0.0.0/8", "f.yaml:9:9", f"f.yaml:9:9{AS_NOW}"),
        ("ip:block:192.0.2.8", "", f"f.yaml:5:5{AS_NOW}"),
        ("ip:block:192.0.2.9", "", "It is not in f.yaml as it is now; generation 7 had it."),
        (
            "ip:block:192.0.2.x",
            "",
            f"f.yaml:4:5, or another rule that has this id, as the id hides a part of the address{AS_NOW}",
        ),
        ("url:missing", "", f"A default, which f.yaml does not write out{AS_NOW}"),
        ("state:down", "f.yaml:9:9", "No line of the file: state.on_error decided."),
        ("ip:error", "", "No line of the file: filters.on_error decided."),
        (
            "blocked_user:run-time",
            "",
            "No line of the file: an entry of the list blocked_user at run time (fsproxy lists show blocked_user) decided.",
        ),
    ],
)
def test_the_place_of_a_rule_is_where_the_file_has_it_now(rule: str, where: str, place: str) -> None:
    found = rules(ip=BLOCKS)
    for _ in range(2):  # the places are remembered
        assert lines_of({**BLOCKED, "rule.id": rule}, found, where)["place"] == [place]


def test_each_filter_that_failed_is_a_rule_without_a_line() -> None:
    found = rules()
    for name in FilterName:
        assert found.place(f"{name}:error", "o", 7) == "No line of the file: filters.on_error decided."


def test_rules_that_would_block_are_said_with_their_places() -> None:
    shadow = {"fsproxy.shadow": [{"rule.id": "ip:block:10.0.0.0/8", "reason_code": 5, "filter": "ip"}]}
    said = "It would be blocked with reason_code 5 (IP Filter) by the rule ip:block:10.0.0.0/8, if that were enforced."
    assert lines_of(shadow)["shadow"] == [said]
    assert "place" not in lines_of(shadow)
    assert lines_of(shadow, rules(ip=BLOCKS))["place"] == [f"f.yaml:3:5{AS_NOW}"]
    (long,) = lines_of({"fsproxy.shadow": [{"rule.id": "x" * 300, "reason_code": 5}]})["shadow"]
    assert f"the rule {'x' * 256}, if" in long


def test_what_was_out_of_order_is_said_and_by_what_it_was_decided() -> None:
    said = lines_of({"fsproxy.filters_failed": ["ip", "geo"], "fsproxy.ledger_down": True})
    assert said["fault"] == ["These filters failed, so filters.on_error decided: ip, geo."]
    assert said["state"] == ["The store was down, so state.on_error decided."]
    assert not {"fault", "state", "shadow", "rejected", "reported", "redacted"} & lines_of({}).keys()


REJECTIONS = {
    RejectionCode.TOO_BIG_TO_PARSE: "too large",
    RejectionCode.INVALID_JSON: "JSON",
    RejectionCode.INVALID_EVENT_NAME: "1 to 250 characters",
    RejectionCode.INVALID_PROPERTY_NAME: "begins with a letter",
    RejectionCode.PROPERTY_NAME_TOO_LONG: "too long",
    RejectionCode.INVALID_PROPERTY_TYPE: "none of the types",
    RejectionCode.MISSING_PROPERTY_TYPE: "no type suffix",
    RejectionCode.INVALID_VALUE: "does not fit the type",
    RejectionCode.VALUE_TOO_BIG: "value is too large",
    RejectionCode.EXPECTED_ATOM: "not an object or list",
    RejectionCode.INVALID_ID: "uid",
    RejectionCode.UNPLANNED_EVENT: "does not have this event",
    RejectionCode.UNPLANNED_PROPERTY: "does not have this property",
    RejectionCode.MISSING_PROPERTY: "requires this property",
    RejectionCode.CARDINALITY_EXCEEDED: "number of names",
    RejectionCode.RATE_LIMITED: "too many calls",
}


@pytest.mark.parametrize("code", RejectionCode)
def test_a_rejection_is_named_by_call_property_and_code_and_explained(code: RejectionCode) -> None:
    (said,) = lines_of({"fsproxy.rejections": [{"code": code.value, "call": "Bought", "property": "a_int"}]})[
        "rejected"
    ]
    assert re.fullmatch(rf"Bought a_int: {code.value}, .*{REJECTIONS[code]}.*(?<=[a-zN])", said)


def test_rejections_that_the_line_does_not_list_are_counted() -> None:
    listed = [{"code": "OfALaterVersion", "call": "a\n", "property": None}, {"code": "x", "call": None}]
    said = lines_of(
        {
            "fsproxy.rejections": listed,
            "fsproxy.rejections_count": 3,
            "fsproxy.shadow_rejections": listed[1:],
            "fsproxy.shadow_rejections_count": 1,
        }
    )
    more = "and 1 more, which the line does not list (audit.rejections)"
    assert said["rejected"] == [r"a\u000a: OfALaterVersion", "the call: x", more]
    assert said["reported"] == ["the call: x"]


def test_what_redaction_found_is_said() -> None:
    said = lines_of({"fsproxy.redactions": [{"rule.id": "redact:mask:email", "count": 2}]})
    assert said["redacted"] == ["2 matches of the rule redact:mask:email"]


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ({"fsproxy.facts": {}}, None),
        ({}, "The last part of the address."),
        ({"fsproxy.facts": {"address": "hidden"}}, "The address (audit.client_ip)."),
        (
            {"fsproxy.facts": {"address": "hidden", "identified": True}, "client.address": "0123"},
            "The address, of which a hash is written (audit.client_ip), and the visitor's uid, which is never written.",
        ),
        ({"fsproxy.facts": {"identified": True}}, "The visitor's uid, which is never written."),
        (
            {"fsproxy.facts": {"unnamed": True, "identified": True}},
            "The address, user and session: the visitor opted out or is being deleted.",
        ),
    ],
)
def test_what_the_line_leaves_out_is_said(more: dict[str, Any], left: str | None) -> None:
    assert lines_of(more).get("left out") == (None if left is None else [left])


@pytest.mark.parametrize(
    ("filters", "today"),
    [
        ({}, "It would be captured."),
        (
            {"ip": BLOCKS},
            "It would be blocked with reason_code 5 (IP Filter) by the rule ip:block:10.0.0.0/8.",
        ),
        (
            {"ip": IpSettings(block=(Entry("10.1.2.7"), Entry("10.1.2.128/25")))},
            (
                "It cannot be known: ip: the line does not hold the whole address (rule ip:block:10.1.2.x, "
                "ip:block:10.1.2.x/25)."
            ),
        ),
        (
            {"domain": DomainSettings(rules=(DomainRule(False, Entry("**"), "/pay/*"),))},
            "It cannot be known: domain: the line does not hold the path of the URL (rule domain:block:**/pay/*).",
        ),
    ],
)
def test_what_the_configuration_would_decide_today_is_said(filters: dict[str, Any], today: str) -> None:
    assert lines_of({}, rules(**filters))["today"] == [today]


def test_only_a_page_that_was_judged_is_decided_again() -> None:
    found = rules()
    assert lines_of({"fsproxy.facts": {"scheme": "https"}}, found)["today"] == [
        "It had failed before the filters were asked."
    ]
    cut = lines_of({"organization.id": "o" * 100}, found)["today"]
    assert cut == ["It cannot be known: org: its id is cut in the line."]
    assert "today" not in lines_of({"event.action": "bundle"}, found)
    assert "today" not in lines_of({})


def test_what_was_decided_again_is_remembered_and_counted() -> None:
    found = rules(user_agent=UserAgentSettings(block=(Entry("Bot"),), mode=Mode.SHADOW))
    assert found.remembered == 0
    lines_of({}, found)
    once = found.remembered
    assert once > 0
    lines_of({}, found)
    assert found.remembered == once
