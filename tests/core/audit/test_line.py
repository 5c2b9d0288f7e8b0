"""How a request's end is counted, and what its line may hold at most."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fsproxy.core.audit.line import (
    LONGEST_AGENT,
    LONGEST_HOST,
    LONGEST_PATH,
    LONGEST_RULE,
    Ending,
    audit_path,
    audit_rejections,
    audit_shadow,
    ending,
    visitor,
)
from fsproxy.core.audit.privacy import LONGEST_NAME, address_mask
from fsproxy.core.audit.record import Outcome
from fsproxy.core.failures import Failure
from fsproxy.core.model import (
    CallKind,
    FilterName,
    Hit,
    Location,
    Mode,
    Rejection,
    Route,
    Rule,
    SessionFacts,
)
from fsproxy.core.reasons import ReasonCode, RejectionCode
from support.made_lines import line_of
from tests.support.urls import of_url

SHARE = 0.25
WHERE = "file:1:1"
IP = Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:block:10.0.0.0/8", WHERE))
OF_ITS_PAGE = Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:block:10.0.0.0/8"))
OPT_OUT = Hit(FilterName.OPT_OUT, ReasonCode.OPT_OUT_COOKIE, Rule("opt_out:gpc", WHERE))
IP_COUNTED = ("ip", FilterName.IP, Mode.ENFORCE)
PAGE, BUNDLE = Route.PAGE, Route.BUNDLE


def ended(
    route: Route = PAGE,
    kind: Route | None = PAGE,
    *,
    block: Hit | None = None,
    failure: Failure | None = None,
    status: int = 200,
    rejected: bool = False,
    mode: str = "enforce",
    method: str = "POST",
) -> Ending:
    return ending(route, kind, method, "/a", 7, mode, SHARE, block, failure, status, rejected)


@pytest.mark.parametrize(
    ("given", "outcome", "counted", "share"),
    [
        ({}, "captured", (PAGE, 2, True, Outcome.CAPTURED, True), SHARE),
        ({"kind": None}, "captured", (PAGE, 2, True, Outcome.CAPTURED, False), SHARE),
        (
            {"route": Route.SOCKET, "status": 0},  # a frame of a socket that is a page
            "captured",
            (Route.SOCKET, 0, True, Outcome.CAPTURED, True),
            SHARE,
        ),
        ({"route": BUNDLE, "kind": BUNDLE}, "forwarded", (BUNDLE, 2, False, Outcome.FORWARDED, True), SHARE),
        (
            {"route": Route.OTHER, "kind": None, "status": 304},
            "forwarded",
            (Route.OTHER, 3, False, Outcome.FORWARDED, False),
            SHARE,
        ),
        ({"block": IP, "status": 202}, "blocked", (PAGE, 2, True, ReasonCode.IP_FILTER, FilterName.IP), 1.0),
        (
            {"block": IP, "failure": Failure.CLIENT_GONE, "status": 0},
            "blocked",
            (PAGE, 0, True, ReasonCode.IP_FILTER, FilterName.IP),
            1.0,
        ),
        (
            {"failure": Failure.UPSTREAM_TIMEOUT, "status": 504},
            "failed",
            (PAGE, 5, True, Failure.UPSTREAM_TIMEOUT, True),
            1.0,
        ),
        ({"failure": Failure.CLIENT_GONE}, "failed", (PAGE, 2, True, Failure.CLIENT_GONE, True), 1.0),
        (
            {"route": BUNDLE, "kind": BUNDLE, "failure": Failure.CLIENT_GONE},  # it went up and was answered
            "forwarded",
            (BUNDLE, 2, False, Outcome.FORWARDED, True),
            1.0,
        ),
        (
            {"route": BUNDLE, "kind": BUNDLE, "failure": Failure.CLIENT_GONE, "status": 0},
            "failed",
            (BUNDLE, 0, False, Failure.CLIENT_GONE, True),
            1.0,
        ),
        (
            {"route": BUNDLE, "kind": BUNDLE, "failure": Failure.UPSTREAM_RESET},
            "failed",
            (BUNDLE, 2, False, Failure.UPSTREAM_RESET, True),
            1.0,
        ),
        (
            {"route": BUNDLE, "kind": BUNDLE, "rejected": True},
            "rejected",
            (BUNDLE, 2, False, Outcome.REJECTED, True),
            1.0,
        ),
    ],
)
def test_a_request_ends_in_one_way_and_only_what_is_unremarkable_is_sampled(
    given: dict[str, Any], outcome: str, counted: tuple[object, ...], share: float
) -> None:
    found = ended(**given)
    assert (found.outcome, found.counted, found.share) == (outcome, counted, share)
    assert type(found.counted[3]) is type(counted[3])
    assert found.where == (WHERE if outcome == "blocked" else "")


@pytest.mark.parametrize(
    ("given", "unnamed"),
    [
        ({}, False),
        ({"block": IP}, None),
        ({"block": OPT_OUT}, True),
        ({"route": BUNDLE, "kind": BUNDLE}, None),
        ({"route": Route.SOCKET}, None),
        ({"failure": Failure.UPSTREAM_TIMEOUT}, None),
    ],
)
def test_the_rules_are_asked_who_is_not_named_unless_the_end_says_it(given: dict[str, Any], unnamed: bool) -> None:  # noqa: FBT001
    assert ended(**given).unnamed is unnamed


@pytest.mark.parametrize(
    ("given", "hit"),
    [
        ({}, None),
        ({"block": IP}, IP_COUNTED),
        ({"block": OF_ITS_PAGE}, IP_COUNTED),
        ({"route": BUNDLE, "kind": BUNDLE, "block": IP}, IP_COUNTED),
        ({"route": BUNDLE, "kind": BUNDLE, "block": OF_ITS_PAGE}, None),
    ],
)
def test_an_upload_that_is_blocked_with_its_page_counts_for_no_rule(given: dict[str, Any], hit: object) -> None:
    assert ended(**given).hit == hit


def begun(found: Ending) -> dict[str, Any]:
    return json.loads(found.start % (b"2026-11-21T18:55:41", 5, b'"rid"', 9, b'"end":0}'))


def test_a_line_names_the_privacy_rules_that_are_in_force_in_spite_of_the_mode() -> None:
    line = begun(ended(mode="off opt_out deleting_user"))
    assert (line["fsproxy.mode"], line["fsproxy.privacy"]) == ("off", ["opt_out", "deleting_user"])
    assert begun(ended(mode="bypass"))["fsproxy.privacy"] == []
    assert "fsproxy.privacy" not in begun(ended())
    assert begun(ended())["@timestamp"] == "2026-11-21T18:55:41.005Z"


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ({"failure": Failure.CLIENT_GONE}, "unknown"),
        ({"route": BUNDLE, "kind": BUNDLE, "failure": Failure.CLIENT_GONE}, "success"),
        ({"failure": Failure.INTERNAL, "status": 502}, "failure"),
    ],
)
def test_whether_a_client_that_left_got_what_it_wanted_is_not_known(given: dict[str, Any], outcome: str) -> None:
    assert begun(ended(**given))["event.outcome"] == outcome


def test_every_text_of_a_client_is_cut() -> None:
    long = "x" * 600
    rejection = Rejection(RejectionCode.INVALID_VALUE, CallKind.EVENT, long, long, "detail")
    facts = SessionFacts(
        route=PAGE, org=long, session_id=long, page_id=long, user_id=long, user_agent=long,
        **of_url(f"https://{long}/"), location=Location("US"),
    )  # fmt: skip
    org, session, page, user, same, fresh, *_, agent, host = visitor(facts, str, unnamed=False)
    assert {org, session, page, user, same} == {"x" * LONGEST_NAME}
    assert (agent, host, fresh) == ("x" * LONGEST_AGENT, "x" * LONGEST_HOST, "")
    (listed,), count = audit_rejections([rejection], 5)
    assert (listed.call, listed.property, count) == ("x" * LONGEST_NAME, "x" * LONGEST_NAME, 1)
    (shadow,) = audit_shadow([Hit(FilterName.URL, ReasonCode.INVALID_URL, Rule(long))])
    assert shadow.rule == "x" * LONGEST_RULE
    assert audit_path(f"/{long}") == "/" + "x" * (LONGEST_PATH - 1)
    line = begun(ended(method="M" * 33, block=Hit(FilterName.URL, ReasonCode.INVALID_URL, Rule(long))))
    assert (line["http.request.method"], line["rule.id"]) == ("M" * 32, "x" * LONGEST_RULE)
    assert (LONGEST_NAME, LONGEST_AGENT, LONGEST_PATH, LONGEST_RULE, LONGEST_HOST) == (100, 512, 256, 256, 253)


@pytest.mark.parametrize("name", ["org", "session_id", "page_id", "user_id", "user_agent"])
@pytest.mark.parametrize("text", ["a\nb", "größe\u202e", "\x00"])
def test_each_text_of_a_client_is_escaped_whatever_the_others_are(name: str, text: str) -> None:
    known = {"org": "o", "session_id": "s", "page_id": "p", "user_id": "u", "user_agent": "Agent"}
    line = json.loads(line_of(SessionFacts(route=PAGE, **{**known, name: text})))
    escaped = {"a\nb": r"a\u000ab", "größe\u202e": r"größe\u202e", "\x00": r"\u0000"}[text]
    keys = {"org": "organization.id", "user_agent": "user_agent.original"}
    for each, value in known.items():
        assert line[keys.get(each, f"fsproxy.{each}")] == (escaped if each == name else value)


def test_a_visitor_who_is_not_named_keeps_org_page_agent_and_country() -> None:
    facts = SessionFacts(
        route=PAGE, org="o", session_id="s", page_id="p", user_id="u", fresh_user_id="f", user_agent="Agent",
        location=Location("US", "US-CA"), **of_url("https://Shop.example./"),
    )  # fmt: skip
    mask = address_mask("full")
    assert visitor(facts, mask, unnamed=True) == (
        "o", "", "p", "", "", "", None, None, False, "US", "US-CA", "Agent", "shop.example",
    )  # fmt: skip
    assert visitor(facts, mask, unnamed=False)[:6] == ("o", "s", "p", "u", "u", "f")
    assert visitor(SessionFacts(route=PAGE, user_agent=""), mask, unnamed=False)[-2] is None


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/Users/v1/individual/jane/customevent", "/users/v1/individual/{uid}/customevent"),
        ("//users/v1/individual/jane/customvars?x", "/users/v1/individual/{uid}/customvars"),
        ("/V2/events/batch", "/v2/events/batch"),
        ("/v2/users/batch", "/v2/users/batch"),
        ("/v2/users/batch-7", "/v2/users/{uid}"),
    ],
)
def test_a_call_of_the_server_api_names_no_user_however_its_path_is_spelled(target: str, path: str) -> None:
    assert audit_path(target, Route.SERVER_API) == path
