import json
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest

from fsproxy.core.audit.line import EndedRequest, audit_path, audit_record, timestamp
from fsproxy.core.audit.privacy import MaskAddress, address_mask, truncated
from fsproxy.core.audit.record import AuditRecord, Outcome, is_due
from fsproxy.core.failures import Failure
from fsproxy.core.model import CallKind, FilterName, Hit, Instant, Location, Rejection, Route, Rule, SessionFacts
from fsproxy.core.pipeline import CAPTURE, Decision
from fsproxy.core.reasons import ReasonCode, RejectionCode

FACTS = SessionFacts(
    route=Route.PAGE,
    org="o-1",
    session_id="s-1",
    page_id="p-1",
    user_id="u-1",
    app_id="never-written",
    url="https://shop.example/secret?q=secret",
    client_ip=ip_address("198.51.100.77"),
    user_agent="Agent \udcff\n" + "x" * 600,
    location=Location("US", "US-CA"),
    cookies={"c": "never-written"},
)
BLOCK = Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:block:10.0.0.0/8", "file:1:1"))
OPT_OUT = Hit(FilterName.OPT_OUT, ReasonCode.OPT_OUT_COOKIE, Rule("opt_out:gpc"))
DELETING = Hit(FilterName.DELETING_USER, ReasonCode.USER_ACTIVELY_BEING_DELETED, Rule("deleting_user:block:u"))


def record(
    outcome: Outcome = Outcome.CAPTURED,
    *,
    mask: MaskAddress = truncated,
    most_rejections: int = 20,
    **more: Any,
) -> AuditRecord:
    given = {
        "now": Instant(1795287341.564),
        "route": Route.PAGE,
        "outcome": outcome,
        "method": "POST",
        "target": "/rec/page?secret",
        "request_id": "rid-1",
        "generation": 7,
        "mode": "enforce",
        "status": 200,
        "facts": FACTS,
    }
    return audit_record(EndedRequest(**{**given, **more}), mask, most_rejections)


def line(outcome: Outcome = Outcome.CAPTURED, **more: Any) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(record(outcome, **more)))


def test_a_captured_page_in_ecs_names() -> None:
    assert line(
        status=200,
        request_bytes=900,
        response_bytes=400,
        upstream_status=200,
        duration=5_000_000,
        upstream_duration=4_000_000,
        own_duration=1_000_000,
    ) == {
        "@timestamp": "2026-11-21T18:55:41.564Z",
        "ecs.version": "8.11.0",
        "fsproxy.audit.version": 1,
        "event.action": "page",
        "event.outcome": "success",
        "event.duration": 5_000_000,
        "fsproxy.decision": "captured",
        "fsproxy.generation": 7,
        "fsproxy.mode": "enforce",
        "organization.id": "o-1",
        "fsproxy.session_id": "s-1",
        "fsproxy.page_id": "p-1",
        "fsproxy.user_id": "u-1",
        "client.ip": "198.51.100.0",
        "client.geo.country_iso_code": "US",
        "client.geo.region_iso_code": "US-CA",
        "user_agent.original": "Agent \ufffd\\u000a" + "x" * 504,
        "url.domain": "shop.example",
        "url.path": "/rec/page",
        "http.request.method": "POST",
        "http.request.id": "rid-1",
        "http.request.body.bytes": 900,
        "http.response.status_code": 200,
        "http.response.body.bytes": 400,
        "fsproxy.upstream.status_code": 200,
        "fsproxy.upstream.duration": 4_000_000,
        "fsproxy.own.duration": 1_000_000,
        "fsproxy.url.length": 36,
        "fsproxy.facts": {
            "scheme": "https",
            "cookies": True,
            "identified": True,
            "address": "truncated",
        },
    }


def test_a_blocked_page_says_why() -> None:
    said = line(Outcome.BLOCKED, decision=Decision(block=BLOCK))
    assert said["fsproxy.decision"] == "blocked"
    assert (said["event.reason"], said["fsproxy.reason_code"]) == ("IP Filter", 5)
    assert (said["rule.id"], said["fsproxy.filter"]) == ("ip:block:10.0.0.0/8", "ip")


def test_shadow_hits_and_failed_filters_are_listed() -> None:
    said = line(decision=Decision(shadow=(BLOCK,), failed=(FilterName.GEO,), ledger_down=True))
    assert said["fsproxy.shadow"] == [{"rule.id": "ip:block:10.0.0.0/8", "reason_code": 5, "filter": "ip"}]
    assert said["fsproxy.filters_failed"] == ["geo"]
    assert said["fsproxy.ledger_down"] is True


@pytest.mark.parametrize(
    "more",
    [
        {"decision": Decision(block=OPT_OUT)},
        {"decision": Decision(block=DELETING)},
        {"decision": Decision(block=BLOCK, shadow=(OPT_OUT,))},
        {"decision": Decision(shadow=(DELETING,))},
        {"decision": Decision(block=BLOCK), "unnamed": True},
    ],
)
@pytest.mark.parametrize("mode", ["full", "hashed"])
def test_opted_out_and_deleted_visitors_are_not_named(more: dict[str, Any], mode: str) -> None:
    said = line(Outcome.BLOCKED, mask=address_mask(mode, "key"), **more)
    assert not {"client.ip", "client.address", "fsproxy.user_id", "fsproxy.session_id"} & set(said)
    assert said["organization.id"] == "o-1"


def test_a_hash_is_no_ip() -> None:
    said = line(mask=address_mask("hashed", "key"))
    assert "client.ip" not in said
    assert len(said["client.address"]) == 16


def test_what_is_not_known_is_not_there() -> None:
    said = line(Outcome.FORWARDED, route=Route.OTHER, facts=None, status=None)
    assert set(said) == {
        "@timestamp",
        "ecs.version",
        "fsproxy.audit.version",
        "event.action",
        "event.outcome",
        "fsproxy.decision",
        "fsproxy.generation",
        "fsproxy.mode",
        "http.request.id",
        "http.request.method",
        "url.path",
    }


def test_no_value_of_a_request_is_written() -> None:
    assert b"secret" not in msgspec.json.encode(record())
    assert b"never-written" not in msgspec.json.encode(record())


@pytest.mark.parametrize(
    ("failure", "outcome"), [(Failure.UPSTREAM_TIMEOUT, "failure"), (Failure.CLIENT_GONE, "unknown")]
)
def test_a_failure_has_its_name(failure: Failure, outcome: str) -> None:
    said = line(Outcome.FAILED, failure=failure)
    assert (said["event.outcome"], said["fsproxy.error"], said["event.reason"]) == (outcome, failure, failure.summary)


def test_rejections_are_bounded_and_their_count_is_whole() -> None:
    one = Rejection(RejectionCode.INVALID_VALUE, CallKind.EVENT, "Bought\n", "a.b_int", "not an int")
    said = line(rejections=[one] * 30, most_rejections=2)
    assert said["fsproxy.rejections"] == [{"code": "InvalidValue", "call": "Bought\\u000a", "property": "a.b_int"}] * 2
    assert said["fsproxy.rejections_count"] == 30


def test_what_shadow_modes_would_cut_is_told_apart_from_what_was_cut() -> None:
    one = Rejection(RejectionCode.CARDINALITY_EXCEEDED, CallKind.EVENT, "Bought", "a_int", "detail")
    said = line(shadow_rejections=[one] * 3, most_rejections=1)
    assert said["fsproxy.shadow_rejections"] == [{"code": "CardinalityExceeded", "call": "Bought", "property": "a_int"}]
    assert said["fsproxy.shadow_rejections_count"] == 3
    assert "fsproxy.rejections_count" not in said


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/rec/page?x", "/rec/page"),
        ("/users/v1/individual/jane%40x.example/customvars", "/users/v1/individual/{uid}/customvars"),
        ("/users/v1/%69ndividual/jane", "/users/v1/individual/{uid}"),
        ("http://h/v2/users/17?x", "/v2/users/{uid}"),
        ("/v2/users/batch", "/v2/users/batch"),
        ("/a\n" + "b" * 500, "/a\\u000a" + "b" * 253),
    ],
)
def test_a_path_names_no_user(target: str, path: str) -> None:
    assert audit_path(target) == path


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1795287341.0009, "2026-11-21T18:55:41.000Z"),
        (0.9999, "1970-01-01T00:00:00.999Z"),
    ],
)
def test_times_are_utc_in_milliseconds(now: float, text: str) -> None:
    assert timestamp(Instant(now)) == text


@pytest.mark.parametrize(
    "kept",
    [
        record(Outcome.BLOCKED, decision=Decision(block=BLOCK)),
        record(Outcome.REJECTED),
        record(Outcome.FAILED),
        record(decision=Decision(shadow=(BLOCK,))),
        record(failure=Failure.CLIENT_GONE),
        record(rejections=[Rejection(RejectionCode.RATE_LIMITED, CallKind.EVENT, "a", None, "d")]),
        record(shadow_rejections=[Rejection(RejectionCode.RATE_LIMITED, CallKind.EVENT, "a", None, "d")]),
    ],
)
def test_what_matters_is_always_written(kept: AuditRecord) -> None:
    assert is_due(0.0, kept)


def test_a_share_of_the_rest_is_written_by_its_request_id() -> None:
    lines = [record(request_id=f"r-{n}", decision=CAPTURE) for n in range(400)]
    quarter = [is_due(0.25, each) for each in lines]
    assert 60 < sum(quarter) < 140
    assert quarter == [is_due(0.25, each) for each in lines]
    assert all(is_due(0.5, each) for each, was in zip(lines, quarter, strict=True) if was)
    assert not any(is_due(0.0, each) for each in lines)
    assert all(is_due(1.0, each) for each in lines)
