import json
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest

from fsproxy import __version__
from fsproxy.core.audit.line import audit_path
from fsproxy.core.audit.privacy import address_mask
from fsproxy.core.audit.record import Outcome, is_sampled
from fsproxy.core.failures import Failure
from fsproxy.core.model import CallKind, FilterName, Hit, Instant, Location, Rejection, Route, Rule, SessionFacts
from fsproxy.core.pipeline import Decision
from fsproxy.core.policy import OrgPolicy, Snapshot
from fsproxy.core.reasons import ReasonCode, RejectionCode
from fsproxy.core.settings import CoreSettings, OptOutSettings
from support.made_lines import line_of
from tests.support.urls import of_url

FACTS = SessionFacts(
    route=Route.PAGE,
    org="o-1",
    session_id="s-1",
    page_id="p-1",
    user_id="u-1",
    app_id="never-written",
    **of_url("https://shop.example/secret?q=secret"),
    client_ip=ip_address("198.51.100.77"),
    user_agent="Agent \udcff\n" + "x" * 600,
    location=Location("US", "US-CA"),
    cookies="c=never-written",
)
BLOCK = Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:block:10.0.0.0/8", "file:1:1"))
OPT_OUT = Hit(FilterName.OPT_OUT, ReasonCode.OPT_OUT_COOKIE, Rule("opt_out:gpc"))
TRACEPARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
DELETING = Hit(FilterName.DELETING_USER, ReasonCode.USER_ACTIVELY_BEING_DELETED, Rule("deleting_user:block:u"))


def line(outcome: Outcome = Outcome.CAPTURED, facts: SessionFacts | None = FACTS, **more: Any) -> dict[str, Any]:
    return json.loads(line_of(facts, outcome, **more))


def opts_out() -> OrgPolicy:
    """A policy by which GPC opts out."""
    core = CoreSettings()
    filters = replace(core.default.filters, opt_out=OptOutSettings(gpc=True))
    return Snapshot.compile(replace(core, default=replace(core.default, filters=filters)), 1).default


def test_a_captured_page_in_ecs_names() -> None:
    assert line(
        status=200,
        bytes_in=900,
        bytes_out=400,
        upstream_status=200,
        total=5_000_000,
        waited=4_000_000,
    ) == {
        "@timestamp": "2026-11-21T18:55:41.564Z",
        "ecs.version": "8.11.0",
        "fsproxy.audit.version": 1,
        "event.kind": "event",
        "event.category": ["network", "web"],
        "event.type": ["access", "allowed"],
        "event.dataset": "fsproxy.audit",
        "service.name": "fsproxy",
        "service.version": __version__,
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
        "user.id": "u-1",
        "client.ip": "198.51.100.0",
        "fsproxy.client_ip.masked": True,
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
        {
            "decision": Decision(block=BLOCK),
            "facts": msgspec.structs.replace(FACTS, gpc=True),
            "policy": opts_out(),
        },
    ],
)
@pytest.mark.parametrize("mode", ["full", "hashed"])
def test_opted_out_and_deleted_visitors_are_not_named(more: dict[str, Any], mode: str) -> None:
    said = line(Outcome.BLOCKED, mask=address_mask(mode, "key"), headers={b"traceparent": TRACEPARENT}, **more)
    assert not {"client.ip", "client.address", "fsproxy.client_ip.masked"} & set(said)
    assert not {"fsproxy.user_id", "user.id", "fsproxy.session_id", "trace.id", "span.id"} & set(said)
    assert said["organization.id"] == "o-1"


def test_a_hash_is_no_ip() -> None:
    said = line(mask=address_mask("hashed", "key"))
    assert "client.ip" not in said
    assert len(said["client.address"]) == 16
    assert said["fsproxy.client_ip.masked"] is True


@pytest.mark.parametrize(
    ("mode", "facts", "masked"),
    [
        ("full", FACTS, None),
        ("truncated", FACTS, True),
        ("none", FACTS, None),
        ("truncated", msgspec.structs.replace(FACTS, client_ip=None), None),
    ],
)
def test_what_is_not_the_visitors_address_is_marked(mode: str, facts: SessionFacts, masked: bool | None) -> None:  # noqa: FBT001
    assert line(facts=facts, mask=address_mask(mode)).get("fsproxy.client_ip.masked") is masked


@pytest.mark.parametrize(
    ("outcome", "types"),
    [
        (Outcome.CAPTURED, ["access", "allowed"]),
        (Outcome.FORWARDED, ["access", "allowed"]),
        (Outcome.BLOCKED, ["access", "denied"]),
        (Outcome.REJECTED, ["access", "denied"]),
        (Outcome.FAILED, ["access", "error"]),
    ],
)
def test_the_type_of_an_event_says_how_it_ended(outcome: Outcome, types: list[str]) -> None:
    assert line(outcome)["event.type"] == types


@pytest.mark.parametrize("facts", [FACTS, None])
def test_a_line_belongs_to_the_trace_that_the_request_names(facts: SessionFacts | None) -> None:
    said = line(facts=facts, headers={b"traceparent": TRACEPARENT})
    assert (said["trace.id"], said["span.id"]) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    said = line(facts=facts, headers={b"traceparent": TRACEPARENT + b"1"})
    assert not {"trace.id", "span.id"} & set(said)


def test_what_is_not_known_is_not_there() -> None:
    said = line(Outcome.FORWARDED, route=Route.OTHER, facts=None, status=0)
    assert set(said) == {
        "@timestamp",
        "ecs.version",
        "fsproxy.audit.version",
        "event.kind",
        "event.category",
        "event.type",
        "event.dataset",
        "service.name",
        "service.version",
        "event.action",
        "event.outcome",
        "event.duration",
        "fsproxy.decision",
        "fsproxy.generation",
        "fsproxy.mode",
        "fsproxy.own.duration",
        "http.request.body.bytes",
        "http.request.id",
        "http.request.method",
        "http.response.body.bytes",
        "url.path",
    }


def test_no_value_of_a_request_is_written() -> None:
    assert b"secret" not in line_of(FACTS)
    assert b"never-written" not in line_of(FACTS)


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
        ("/V2/Users/17", "/V2/Users/{uid}"),
        ("/Users/V1/Individual/17/customvars", "/Users/V1/Individual/{uid}/customvars"),
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
    assert line(arrived=Instant(now))["@timestamp"] == text


def test_a_share_of_the_rest_is_written_by_its_request_id() -> None:
    ids = [f"r-{n}" for n in range(400)]
    quarter = [is_sampled(0.25, each) for each in ids]
    assert 60 < sum(quarter) < 140
    assert quarter == [is_sampled(0.25, each) for each in ids]
    assert all(is_sampled(0.5, each) for each, was in zip(ids, quarter, strict=True) if was)
    assert not any(is_sampled(0.0, each) for each in ids)
    assert all(is_sampled(1.0, each) for each in ids)


START = (
    b'{"ecs.version":"8.11.0","@timestamp":"2026-11-21T18:55:41.564Z","fsproxy.audit.version":1,"event.kind":"event",'
    b'"event.category":["network","web"],"event.type":["access","TYPE"],"event.dataset":"fsproxy.audit",'
    b'"event.action":"page",'
)
SERVICE = b'"service.name":"fsproxy","service.version":"%b",' % __version__.encode()
PLAIN = SessionFacts(
    route=Route.PAGE, org="o-1", session_id="s-1", page_id="p-1", user_id="u-1", **of_url("https://shop.example:8443/a"),
    client_ip=ip_address("198.51.100.77"), user_agent="Mozilla", location=Location("US", "US-CA"), cookies="c=1",
    origin="https://shop.example", compiled_timestamp=1754000000, compiled_version="1.2", snippet_version="1.3",
)  # fmt: skip
ONE = Rejection(RejectionCode.INVALID_VALUE, CallKind.EVENT, 'A"b', "a.b_int", "not an int")
TWO = Rejection(RejectionCode.RATE_LIMITED, CallKind.IDENTIFY, None, None, "too many")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {
                "facts": PLAIN,
                "decision": Decision(token="t"),
                "bytes_in": 9,
                "bytes_out": 4,
                "upstream_status": 200,
                "waited": 4_000_000,
            },
            START.replace(b"TYPE", b"allowed")
            + b'"event.outcome":"success","fsproxy.decision":"captured","http.request.method":"POST",'
            b'"url.path":"/rec/page","http.request.id":"rid-1","fsproxy.generation":7,"fsproxy.mode":"enforce",'
            + SERVICE
            + b'"event.duration":5000000,"organization.id":"o-1","fsproxy.session_id":"s-1","fsproxy.page_id":"p-1",'
            b'"fsproxy.user_id":"u-1","user.id":"u-1","client.ip":"198.51.100.0","fsproxy.client_ip.masked":true,"client.geo.country_iso_code":"US",'
            b'"client.geo.region_iso_code":"US-CA","user_agent.original":"Mozilla","url.domain":"shop.example",'
            b'"http.request.body.bytes":9,"http.response.status_code":200,"http.response.body.bytes":4,'
            b'"fsproxy.upstream.status_code":200,"fsproxy.upstream.duration":4000000,"fsproxy.own.duration":1000000,'
            b'"fsproxy.url.length":27,"fsproxy.facts":{"session":"under_way","scheme":"https","port":8443,'
            b'"origin":"shop.example","compiled":1754000000,"version":"1.2","snippet":"1.3","cookies":true,'
            b'"address":"truncated"}}',
        ),
        (
            {
                "outcome": Outcome.BLOCKED,
                "facts": msgspec.structs.replace(
                    PLAIN, **of_url("nothing"), cookies="", location=None, user_agent=None
                ),
                "decision": Decision(
                    block=Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule('50%d"')),
                    shadow=(BLOCK,),
                    failed=(FilterName.GEO,),
                    ledger_down=True,
                ),
                "status": 202,
                "path": "/50%25/%b",
                "request_id": 'a"%b',
                "mask": address_mask("hashed", "key"),
            },
            START.replace(b"TYPE", b"denied")
            + b'"event.outcome":"success","fsproxy.decision":"blocked","http.request.method":"POST",'
            b'"url.path":"/50%25/%b","http.request.id":"a\\"%b","fsproxy.generation":7,"fsproxy.mode":"enforce",'
            + SERVICE
            + b'"event.reason":"IP Filter","event.duration":5000000,"fsproxy.reason_code":5,"rule.id":"50%d\\"",'
            b'"fsproxy.filter":"ip","fsproxy.shadow":[{"rule.id":"ip:block:10.0.0.0/8","reason_code":5,"filter":"ip"}],'
            b'"fsproxy.filters_failed":["geo"],"organization.id":"o-1","fsproxy.session_id":"s-1",'
            b'"fsproxy.page_id":"p-1","fsproxy.user_id":"u-1","user.id":"u-1","client.address":"HASH","fsproxy.client_ip.masked":true,'
            b'"http.request.body.bytes":0,"http.response.status_code":202,"http.response.body.bytes":0,'
            b'"fsproxy.own.duration":5000000,"fsproxy.ledger_down":true,"fsproxy.url.length":7,'
            b'"fsproxy.facts":{"url_problems":["unparseable"],"origin":"shop.example","compiled":1754000000,'
            b'"version":"1.2","snippet":"1.3","address":"hidden"}}',
        ),
        (
            {
                "outcome": Outcome.FAILED,
                "facts": SessionFacts(route=Route.BUNDLE, fresh_user_id="f-1"),
                "route": Route.BUNDLE,
                "failure": Failure.CLIENT_GONE,
                "status": 0,
                "upstream_reason_code": 4,
                "rejections": [ONE, TWO, ONE],
                "shadow_rejections": [TWO],
                "most_rejections": 2,
            },
            START.replace(b"page", b"bundle").replace(b"TYPE", b"error")
            + b'"event.outcome":"unknown","fsproxy.decision":"failed","http.request.method":"POST",'
            b'"url.path":"/rec/page","http.request.id":"rid-1","fsproxy.generation":7,"fsproxy.mode":"enforce",'
            + SERVICE
            + b'"event.reason":"Client gone","event.duration":5000000,"fsproxy.fresh_user_id":"f-1",'
            b'"http.request.body.bytes":0,"http.response.body.bytes":0,"fsproxy.upstream.reason_code":4,'
            b'"fsproxy.own.duration":5000000,"fsproxy.error":"client_gone","fsproxy.rejections":'
            b'[{"code":"InvalidValue","call":"A\\"b","property":"a.b_int"},'
            b'{"code":"RateLimited","call":"identify","property":null}],"fsproxy.rejections_count":3,'
            b'"fsproxy.shadow_rejections":[{"code":"RateLimited","call":"identify","property":null}],'
            b'"fsproxy.shadow_rejections_count":1}',
        ),
    ],
)
def test_a_line_is_the_same_byte_for_byte(given: dict[str, Any], expected: bytes) -> None:
    hashed = address_mask("hashed", "key")(ip_address("198.51.100.77"))
    assert hashed is not None
    assert line_of(**given) == expected.replace(b"HASH", hashed.encode())
