"""The admin API in front of a real data plane: what it tells, to whom, and how much at the most."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from fsproxy.admin import api
from fsproxy.admin.page import FOLDER as PAGE_FOLDER
from fsproxy.admin.server import create_admin, described
from fsproxy.admin.single import SingleBackend
from fsproxy.config.schema import AdminConfig
from fsproxy.core.model import Instant
from fsproxy.core.reasons import ReasonCode
from fsproxy.reload.reloader import Reloader
from support.call_samples import bundle, first, user
from support.in_process import InProcessProxy, in_process
from support.rig import AGENT, ORIGIN, page, running_rig
from support.upstream import RecordingUpstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG: dict[str, Any] = {
    "admin": {"token": "s3cret-token"},
    "orgs": {
        "unlisted": "block",
        "listed": {
            "o-TEST-na1": {},
            "o-off": {"enabled": False},
            "o-three": {"filters": {"quota": {"sessions": 3}}},
            "o-ramp": {"filters": {"ramping": {"share": "0%", "salt": "s3cret-salt"}}},
        },
    },
    "filters": {
        "script": {"min_compiled": "2023-08-03"},
        "ip": {"block": ["203.0.113.0/24"]},
        "domain": {"rules": [{"block": "staging.example.com", "id": "no-staging"}]},
        "user_agent": {"block": ["YandexBot"]},
        "geo": {"never": ["US-CA"]},
        "opt_out": {"gpc": True},
        "deleting_user": {"block": ["s3cret-uid"]},
        "blocked_user": {"mode": "shadow", "block": ["uid-blocked"]},
    },
    "client_api": {"cardinality": {"event_names": 2}},
    "state": {"persist": None, "redis": {"username": "me", "password": "s3cret-password"}},
    "audit": {"client_ip": "truncated", "key": "s3cret-key"},
}
JSON = {"Content-Type": "application/json"}
DOCUMENT = json.loads(described())
_ids = count(1)


class Backend(SingleBackend):
    """Of a program that has loaded its configuration in 1970."""

    def __init__(self, proxy: InProcessProxy) -> None:
        data_plane = proxy.data_plane
        reloader = Reloader(data_plane.generation.config, None, lambda: data_plane, proxy.metrics)
        super().__init__(reloader, proxy.metrics, instance="i", passage="p", stop=asyncio.Event())
        self.use(data_plane)

    def program_state(self) -> dict[str, Any]:
        config = {"loaded": 1.5, "errors": [], "error_count": 0, "restart_needed_for": []}
        return {**super().program_state(), "config": config}


@dataclass
class Bench:
    """A recorder's and an operator's view of one proxy."""

    proxy: InProcessProxy
    http: aiohttp.ClientSession
    admin: TestClient[Any, Any]

    async def page(self, headers: dict[str, str] | None = None, **fields: Any) -> int:
        """A page request's status."""
        return await self.send("/rec/page", json.dumps(page(**fields)).encode(), headers)

    async def send(self, target: str, body: bytes, headers: dict[str, str] | None = None) -> int:
        """A request's status, once it is also noted."""
        usual = {
            "Origin": ORIGIN,
            "User-Agent": AGENT,
            "X-Forwarded-For": "198.51.100.77",
            "X-Request-Id": f"r-{next(_ids)}",
        }
        async with self.http.post(self.proxy.url + target, data=body, headers=usual | (headers or {})) as response:
            await response.read()
        await self.proxy.idle()
        return response.status

    async def get(self, path: str, status: int = 200) -> Any:
        """What the API says; a good answer is as the OpenAPI document says."""
        async with self.admin.get(path) as response:
            assert response.status == status, await response.text()
            assert response.headers["Cache-Control"] == "no-store"
            told = await response.json()
        described = DOCUMENT["paths"][path.partition("?")[0]]["get"]["responses"][str(status)]
        check(told, resolved(described)["content"]["application/json"]["schema"])
        return told

    async def explain(self, status: int = 200, **question: Any) -> Any:
        """An explanation."""
        async with self.admin.post("/api/explain", json=question) as response:
            assert response.status == status, await response.text()
            told = await response.json()
        if status == 200:
            check(told, DOCUMENT["components"]["schemas"]["Explanation"])
        return told

    async def decisions(self, query: str = "") -> list[dict[str, Any]]:
        """The audit lines of the last decisions."""
        return [each["line"] for each in (await self.get(f"/api/decisions?{query}"))["decisions"]]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """What a reference stands for."""
    while "$ref" in schema:
        found: Any = DOCUMENT
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


_TYPES: dict[str, Any] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None), "object": dict, "array": list,
}  # fmt: skip


def check(value: Any, schema: dict[str, Any], place: str = "$") -> None:
    """That a value is as described; a member that is not described is a fault."""
    schema = resolved(schema)
    if "anyOf" in schema:
        fitting = [each for each in schema["anyOf"] if (value is None) == (resolved(each).get("type") == "null")]
        assert fitting, (place, value)
        check(value, fitting[0], place)
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert isinstance(value, tuple(_TYPES[each] for each in types)), (place, value)
    if "enum" in schema:
        assert value in schema["enum"], place
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema.get("required", ())) <= set(value), (place, value)
        assert set(value) <= set(schema["properties"]), (place, value)
        for name, each in value.items():
            check(each, schema["properties"][name], f"{place}.{name}")
    elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        for name, each in value.items():
            check(each, schema["additionalProperties"], f"{place}.{name}")
    if isinstance(value, list) and "items" in schema:
        assert len(value) <= schema.get("maxItems", len(value)), place
        for each in value:
            check(each, schema["items"], f"{place}[]")


@asynccontextmanager
async def benched(config: dict[str, Any]) -> AsyncIterator[Bench]:
    async with RecordingUpstream() as upstream, aiohttp.ClientSession() as http:
        async with in_process({**config, "upstream": {"url": upstream.url}}) as proxy:
            app = create_admin(AdminConfig(), Backend(proxy))
            async with TestClient(TestServer(app)) as admin:
                yield Bench(proxy, http, admin)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[Bench]:
    async with benched(CONFIG) as running:
        yield running


# -- decisions


async def test_a_decision_is_told_as_its_audit_line_with_the_place_of_its_rule(bench: Bench) -> None:
    assert await bench.page(Url="https://staging.example.com/", SessionId="s-place") == 202
    told = (await bench.get("/api/decisions?limit=1"))["decisions"][0]
    assert told["line"]["rule.id"] == "no-staging"
    assert told["line"]["fsproxy.session_id"] == "s-place"
    assert told["line"]["fsproxy.reason_code"] == 4
    file, line, column = told["where"].rsplit(":", 2)
    assert file.endswith("fsproxy.yaml")
    assert (line.isdigit(), column.isdigit()) == (True, True)


async def test_decisions_are_found_by_org_code_session_address_and_text(bench: Bench) -> None:
    await bench.page(SessionId="s-found-1")
    await bench.page({"X-Forwarded-For": "203.0.113.9"}, SessionId="s-found-2", Url="https://shop.example.com/")
    await bench.page(SessionId="s-found-3", OrgId="o-off")

    async def found(query: str) -> set[str]:
        lines = await bench.decisions(f"limit=500&{query}")
        return {line.get("fsproxy.session_id", "") for line in lines} & {"s-found-1", "s-found-2", "s-found-3"}

    assert await found("") == {"s-found-1", "s-found-2", "s-found-3"}
    assert await found("org=o-off") == {"s-found-3"}
    assert await found("code=5") == {"s-found-2"}
    assert await found("code=blocked") == {"s-found-2", "s-found-3"}
    assert await found("code=captured") == {"s-found-1"}
    assert await found("session=s-found-1") == {"s-found-1"}
    assert await found("session=s-found") == {"s-found-1", "s-found-2", "s-found-3"}
    assert await found("q=SHOP.example") == {"s-found-2"}
    assert await found("q=s-found&org=o-off") == {"s-found-3"}
    assert await found("org=o-") == set()
    # Lines hold truncated addresses: what is asked for is truncated as they are.
    assert await found("address=203.0.113.200") == {"s-found-2"}
    assert await found("address=203.0.112.9") == set()
    await bench.get("/api/decisions?address=nonsense", 400)


async def test_the_newest_decision_comes_first_and_limit_holds(bench: Bench) -> None:
    for number in range(4):
        await bench.page(SessionId=f"s-order-{number}")
    lines = await bench.decisions("limit=3&session=s-order")
    assert [line["fsproxy.session_id"] for line in lines] == ["s-order-3", "s-order-2", "s-order-1"]


@pytest.mark.parametrize("limit", ["0", "-1", "501", "x", "", "1e2", "9" * 5000, "٣"])
async def test_a_limit_that_is_none_is_refused(bench: Bench, limit: str) -> None:
    await bench.get(f"/api/decisions?limit={limit}", 400)


async def test_a_parameter_that_is_given_twice_is_refused_by_name(bench: Bench) -> None:
    told = await bench.get("/api/decisions?limit=5&limit=6", 400)
    assert told["error"] == "limit is given twice"


async def test_who_opted_out_is_not_named(bench: Bench) -> None:
    await bench.page({"Sec-GPC": "1"}, SessionId="s-private", UserId="u-private")
    whole = json.dumps(await bench.get("/api/decisions?limit=500"))
    assert "s-private" not in whole
    assert "u-private" not in whole


async def test_requests_without_an_audit_line_are_told_all_the_same_when_they_were_blocked() -> None:
    async with benched({"audit": {"share": {"page": "0%"}}, "filters": {"ip": {"block": ["203.0.113.0/24"]}}}) as own:
        await own.page()
        await own.page({"X-Forwarded-For": "203.0.113.9"})
        assert [line["fsproxy.decision"] for line in await own.decisions()] == ["blocked"]
        this = (await own.get("/api/traffic?minutes=2"))["minutes"]
        assert sum(each["pages"]["captured"] for each in this) == 1


# -- status


async def test_the_status_says_at_a_glance_how_the_program_is(bench: Bench) -> None:
    await bench.page()
    bench.proxy.data_plane.pulse.beat()
    told = await bench.get("/api/status")
    assert (told["mode"], told["generation"], told["instance"]) == ("enforce", 1, "i")
    assert told["workers"] == {"configured": 1, "answered": 1}
    assert told["rate"] > 0
    assert told["hour"]["pages"] >= 1
    assert 0 < told["latency"]["own_p50"] <= told["latency"]["own_p99"]
    assert 0 < told["latency"]["upstream_p50"] <= told["latency"]["upstream_p99"]
    assert all(len(line) == 30 for line in told["sparks"].values())
    assert (told["upstream"]["state"], told["store"]["state"], told["store"]["kind"]) == ("up", "up", "memory")
    assert told["privacy"] == [
        "audit lines have addresses without their last part",
        "visitors with an opt-out cookie are not captured",
        "Sec-GPC: 1 is obeyed",
        "users who are being deleted are not captured",
    ]
    assert told["privacy_rules"] == ["opt_out", "deleting_user"]
    assert told["hour_ago"] == {"rate": None}
    assert told["alerts"] == []


async def test_the_status_says_which_upstream_fails_since_when_and_why() -> None:
    async with benched({}) as own:
        health = own.proxy.data_plane._watch.health
        for _ in range(5):
            health.failed("10.0.0.7:443", "upstream_refused", "", Instant(1000.0))
        told = await own.get("/api/status")
    assert (told["upstream"]["state"], told["upstream"]["since"], told["upstream"]["failed"]) == ("failing", 1000.0, 5)
    assert (told["upstream"]["kind"], told["upstream"]["address"]) == ("upstream_refused", "10.0.0.7:443")
    assert "it refuses connections" in told["upstream"]["text"]
    assert [(each["id"], each["level"]) for each in told["alerts"]] == [("upstream:10.0.0.7:443", "bad")]


# -- explain

CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "unlisted": (1, {"org": "o-who"}),
    "disabled": (2, {"org": "o-off"}),
    "domain": (4, {"url": "https://staging.example.com/"}),
    "ip": (5, {"ip": "203.0.113.9"}),
    "agent": (6, {"user_agent": "a YandexBot"}),
    "geography": (7, {"country": "us-ca"}),
    "ramping": (8, {"org": "o-ramp"}),
    "url": (9, {"url": "javascript:alert(1)"}),
    "opt-out": (10, {"cookies": ["fs_optout=1"]}),
    "gpc": (10, {"headers": ["Sec-GPC: 1"]}),
    "script": (11, {"request": {"OrgId": "o-TEST-na1", "Url": f"{ORIGIN}/", "CompiledTimestamp": 1_661_778_047}}),
    "deleting": (12, {"app_id": "s3cret-uid"}),
}


@pytest.mark.parametrize("name", CASES)
async def test_every_code_is_explained(bench: Bench, name: str) -> None:
    code, question = CASES[name]
    told = await bench.explain(**{"org": "o-TEST-na1", "url": f"{ORIGIN}/cart"} | question)
    assert (told["decision"], told["reason_code"], told["reason"]) == ("blocked", code, ReasonCode(code).text)
    hits = [step["rule"] for step in told["filters"] if step["judgement"] == "hit"]
    assert hits == [told["rule"]]


async def test_what_is_captured_says_what_each_filter_said(bench: Bench) -> None:
    told = await bench.explain(org="o-TEST-na1", url=f"{ORIGIN}/", app_id="uid-blocked")
    assert (told["decision"], told["rule"], told["mode"], told["generation"]) == ("captured", None, "enforce", 1)
    said = {step["filter"]: step["judgement"] for step in told["filters"]}
    assert (said["ip"], said["blocked_user"]) == ("pass", "shadow")
    assert told["not_judged"] == ["org", "ramping", "quota"]


async def test_an_audit_line_is_judged_by_what_it_holds(bench: Bench) -> None:
    """The ring holds truncated addresses: a rule for a whole network is decided, one for a part of it is not."""
    await bench.page({"X-Forwarded-For": "203.0.113.7"}, OrgId="o-TEST-na1", SessionId="s-record", PageId="p-record")
    (line,) = await bench.decisions("session=s-record")
    assert line["client.ip"] == "203.0.113.0"
    told = await bench.explain(record=line)
    assert (told["decision"], told["reason_code"], told["rule"]["id"]) == ("blocked", 5, "ip:block:203.0.113.0/24")
    assert told["rule"]["where"]
    assert told["means"]
    assert told["source"] == [], "the file is not there any more"
    ramped = await bench.explain(record={**line, "organization.id": "o-ramp", "client.ip": "198.51.100.0"})
    assert (ramped["decision"], ramped["reason_code"]) == ("blocked", 8)
    users = {
        **line,
        "client.ip": "198.51.100.0",
        "fsproxy.facts": {**line["fsproxy.facts"], "identified": True, "session": "new"},
    }
    unknown = await bench.explain(record=users)
    assert (unknown["decision"], unknown["rule"]) == ("undecidable", None)
    assert unknown["because"] == "deleting_user: the line does not hold the user's id"
    assert unknown["rules"]


@pytest.mark.parametrize(
    ("record", "decision", "because"),
    [
        ({"event.action": "other"}, "not_judged", "it is no capture request"),
        ({"event.action": "server_api"}, "not_judged", "pass no filters"),
        ({"event.action": "bundle"}, "undecidable", "the line of a request that is no page"),
    ],
)
async def test_a_line_of_another_request_says_why_it_is_not_judged(
    bench: Bench, record: dict[str, Any], decision: str, because: str
) -> None:
    told = await bench.explain(record=record)
    assert told["decision"] == decision
    assert because in told["because"]


async def test_a_request_that_no_rule_looks_at_is_called_so(bench: Bench) -> None:
    for request in (
        {"method": "GET", "url": "/x"},
        {"method": "GET", "url": "/s/settings/o-1/v1/web"},
        {"method": "POST", "url": "/v2/events", "body": "{}"},
    ):
        told = await bench.explain(request=request)
        assert (told["decision"], told["reason_code"], told["filters"]) == ("not_judged", None, [])
        assert told["because"]


async def test_a_page_is_not_judged_by_the_address_of_whoever_asks(bench: Bench) -> None:
    told = await bench.explain(org="o-TEST-na1", url=f"{ORIGIN}/")
    assert (told["decision"], told["not_given"]) == ("captured", ["ip", "user_agent", "country"])


async def test_a_quota_that_is_used_up_now_is_explained_and_explaining_uses_nothing(bench: Bench) -> None:
    for number in range(3):
        told = await bench.explain(org="o-three", url=f"{ORIGIN}/")
        assert told["decision"] == "captured"
        await bench.page(OrgId="o-three", SessionId=f"s-q{number}", UserId=f"u-q{number}")
    told = await bench.explain(org="o-three", url=f"{ORIGIN}/")
    assert (told["reason_code"], told["rule"]["id"], told["quota_known"]) == (3, "quota:sessions", True)
    used = {each["org"]: each["quota"] for each in (await bench.get("/api/usage"))["orgs"]}["o-three"]
    assert (used["used"], used["limit"], used["mode"]) == (3, 3, "enforce")


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'{"ip": "10.0.0.300"}',
        b'{"url": 7}',
        b'{"colour": "red"}',
        b"{}",
        b'{"org": "o-TEST-na1", "ip": "203.0.113.9"}',
        b'{"record": {}}',
        b'{"record": {"event.action": "nothing"}}',
        b'{"record": {"event.action": "page"}}',
        b'{"record": {"event.action": "other"}, "url": "https://a.example/"}',
        b'{"record": []}',
        b'{"record": {"event.action": "page", "@timestamp": "10.0.0.300", "http.request.id": "r", "fsproxy.facts": {"session": "new", "scheme": "https"}}}',
        b'{"cookies": "a=b"}',
        b'{"request": {"headers": "a"}}',
        b'{"request": {"url": "/rec/page", "body": "[1]"}}',
        b'{"request": {"url": "/rec/page", "body": {"Url": "https://a.example/", "url": "https://b.example/"}}}',
        b'{"request": ' + b"[" * 100_000,
        b'{"url": "\\ud800"}',
        b"\xff",
    ],
)
async def test_a_question_that_is_none_is_refused_with_a_reason(bench: Bench, question: bytes) -> None:
    async with bench.admin.post("/api/explain", data=question, headers=JSON) as response:
        assert response.status == 400
        told = await response.json()
    assert told["error"]
    assert "10.0.0.300" not in told["error"]


async def test_what_another_sites_form_can_post_is_not_taken(bench: Bench) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        async with bench.admin.post("/api/explain", data=b"{}", headers={"Content-Type": kind}) as response:
            assert response.status == 400


# -- counts


async def test_rejections_are_grouped_by_code_call_and_property(bench: Bench) -> None:
    calls = [first(name, {"a b": 1}, when=number) for number, name in enumerate(["One", "Two", "Three"])]
    body = bundle(*calls, calls[0], user({"plan_str": "gold"}))
    target = "/rec/bundle/v2?OrgId=o-TEST-na1&UserId=u&SessionId=s&PageId=p-rejected&Seq=1"
    assert await bench.send(target, body) == 200
    told = await bench.get("/api/rejections")
    groups = {(each["code"], each["call"], each["property"]): each for each in told["groups"]}
    assert ("CardinalityExceeded", "Three", None) in groups
    one = groups["InvalidPropertyName", "One", "a b"]
    assert (one["org"], one["count"]) == ("o-TEST-na1", 2)
    assert 0 < one["first"] <= one["last"]
    usage = {each["org"]: each["names"] for each in (await bench.get("/api/usage"))["orgs"]}["o-TEST-na1"]
    names = usage["event_name"]
    assert (names["known"], names["limit"], names["mode"]) == (2, 2, "enforce")
    assert [each["name"] for each in names["newest"]] == ["Two", "One"]
    assert [each["name"] for each in names["refused"]] == ["Three"]
    assert usage["user_property"]["known"] == 1


async def test_usage_is_told_of_a_hundred_orgs_at_the_most() -> None:
    async with benched({"filters": {"quota": {"sessions": 10}}}) as own:
        for number in range(103):
            await own.page(OrgId=f"o-{number}")
        orgs = [each["org"] for each in (await own.get("/api/usage"))["orgs"]]
        assert len(orgs) == 100
        assert orgs[0] == "o-102"


async def test_with_redis_usage_is_not_known_and_a_quota_is_explained_as_unused() -> None:
    redis = {"backend": "redis", "redis": {"url": "redis://127.0.0.1:1/0"}}
    async with benched({"state": redis, "filters": {"quota": {"sessions": 1}}}) as own:
        told = await own.get("/api/usage")
        assert (told["known"], told["orgs"]) == (False, [])
        told = await own.explain(org="o-1", url=f"{ORIGIN}/")
        assert (told["decision"], told["quota_known"]) == ("captured", False)


async def test_shadow_rules_say_what_they_would_have_blocked(bench: Bench) -> None:
    before = sum(each["pages"] for each in (await bench.get("/api/shadow"))["rules"])
    await bench.page(AppId="uid-blocked", UserId="uid-blocked")
    rules = (await bench.get("/api/shadow"))["rules"]
    assert sum(each["pages"] for each in rules) == before + 1
    assert rules[0]["filter"] == "blocked_user"
    assert (rules[0]["reason_code"], rules[0]["reason"]) == (-1, "Unspecified")


async def test_redaction_rules_say_how_often_they_were_found() -> None:
    rules = [{"mask": "email", "in": ["urls"], "id": "mails"}, {"mask": "query:to", "in": ["urls"], "mode": "shadow"}]
    async with benched({"redact": {"rules": rules}}) as own:
        for _ in range(2):
            await own.page(Url=f"{ORIGIN}/?to=ann@example.com&cc=bob@example.com")
        told = (await own.get("/api/redactions"))["rules"]
        assert [(each["rule"], each["mode"], each["count"]) for each in told] == [
            ("mails", "enforce", 4),
            ("redact:mask:query:to", "shadow", 2),
        ]
        shown = (await own.get("/api/config"))["config"]["redact"]
        assert shown["rules"][0]["mask"] == "email"


async def test_traffic_is_counted_by_minute_and_reason(bench: Bench) -> None:
    async def counted() -> dict[str, int]:
        told = (await bench.get("/api/traffic?minutes=5"))["minutes"]
        pages = [each["pages"] for each in told]
        return {
            "captured": sum(each["captured"] for each in pages),
            "5": sum(each["blocked"].get("5", 0) for each in pages),
            "all": sum(each["requests"]["blocked"].get("5", 0) for each in told),
        }

    before = await counted()
    await bench.page()
    await bench.page({"X-Forwarded-For": "203.0.113.9"})
    target = "/rec/bundle/v2?OrgId=o-TEST-na1&UserId=u&SessionId=s&PageId=p&Seq=1"
    await bench.send(target, bundle(), {"X-Forwarded-For": "203.0.113.9"})
    after = await counted()
    assert {key: after[key] - before[key] for key in after} == {"captured": 1, "5": 1, "all": 2}
    told = await bench.get("/api/traffic")
    assert len(told["minutes"]) == 60
    assert told["reasons"] == {str(int(code)): code.text for code in ReasonCode}
    assert (told["step"], told["org"]) == (1, None)
    assert "o-TEST-na1" in told["orgs"]
    assert [each["generation"] for each in told["loads"]] == [1]
    day = await bench.get("/api/traffic?minutes=1440&step=24&org=o-TEST-na1")
    assert (len(day["minutes"]), day["org"]) == (60, "o-TEST-na1")
    assert all(each["minute"] % (24 * 60) == 0 for each in day["minutes"])
    assert sum(each["pages"]["captured"] for each in day["minutes"]) >= 1
    nobody = await bench.get("/api/traffic?minutes=1440&org=nobody")
    assert len(nobody["minutes"]) == 1440
    assert sum(each["requests"]["captured"] for each in nobody["minutes"]) == 0
    assert (await bench.get("/api/traffic?step=3", 400))["error"] == "step is one of 1, 2, 5, 24"
    await bench.get("/api/traffic?minutes=1441", 400)


# -- configuration


async def test_the_configuration_is_told_without_secrets_and_ids_of_people(bench: Bench) -> None:
    told = await bench.get("/api/config")
    assert "s3cret" not in json.dumps(told)
    assert (told["mode"], told["generation"], told["reload"]["loaded"]) == ("enforce", 1, 1.5)
    config = told["config"]
    assert config["admin"]["token"] == "(hidden)"
    assert config["state"]["redis"]["password"] == "(hidden)"
    assert config["filters"]["deleting_user"]["block"] == "1 (hidden)"
    assert config["filters"]["ip"]["block"][0]["text"] == "203.0.113.0/24"
    assert config["orgs"]["listed"]["o-three"]["filters"]["quota"]["sessions"] == 3
    assert config["orgs"]["listed"]["o-TEST-na1"] == {"enabled": True, "mobile": True}
    assert config["client_api"]["cardinality"]["event_names"] == 2


async def test_long_lists_of_the_configuration_are_cut() -> None:
    orgs = {f"o-{number}": {} for number in range(150)}
    networks = [f"10.0.{number}.0/24" for number in range(120)]
    async with benched({"orgs": {"listed": orgs}, "filters": {"ip": {"block": networks}}}) as own:
        config = (await own.get("/api/config"))["config"]
        assert (config["orgs"]["count"], len(config["orgs"]["listed"])) == (150, 100)
        assert len(config["filters"]["ip"]["block"]) == 101
        assert config["filters"]["ip"]["block"][-1] == "and 20 more"


# -- events


async def events(response: Any, most: int) -> list[dict[str, Any]]:
    told = []
    async with asyncio.timeout(120):
        while len(told) < most:
            line = await response.content.readline()
            if line.startswith(b"data: "):
                told.append(json.loads(line[6:]))
                check(told[-1], DOCUMENT["components"]["schemas"]["Event"])
    return told


async def test_a_stream_tells_new_decisions_once_and_the_minutes(bench: Bench) -> None:
    async with bench.admin.get("/api/events") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert (await events(response, 1))[0]["decisions"] == []
        await bench.page(SessionId="s-live")
        told = await events(response, 2)
    sessions = [each["line"]["fsproxy.session_id"] for event in told for each in event["decisions"]]
    assert sessions == ["s-live"]
    assert sum(each["pages"]["captured"] for each in told[0]["minutes"]) > 0
    assert (told[0]["mode"], told[0]["generation"]) == ("enforce", 1)


async def test_streams_are_bounded_and_end_when_the_port_closes() -> None:
    async with benched({}) as own:
        streams = [await own.admin.get("/api/events") for _ in range(api.MOST_STREAMS)]
        async with own.admin.get("/api/events") as refused:
            assert refused.status == 503
        async with asyncio.timeout(120):
            await own.admin.server.close()
        rest = [await each.read() for each in streams]
        assert all(each.startswith(b"data: ") for each in rest)
        await asyncio.gather(*(each.wait_for_close() for each in streams))


async def test_an_open_stream_does_not_keep_the_program_from_stopping() -> None:
    async with running_rig() as rig, rig.http.get(f"{rig.proxy.admin_url}/api/events") as response:
        assert (await response.content.readline()).startswith(b"data: ")
        await rig.proxy.stop()
        assert not rig.proxy.killed
        assert (await response.content.read()).endswith(b"\n")


# -- description and guard


async def test_the_description_names_every_route_and_no_other(bench: Bench) -> None:
    assert await bench.get("/openapi.json") == DOCUMENT
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in bench.admin.app.router.routes()
        if route.resource and not route.resource.canonical.startswith(PAGE_FOLDER)
    }
    described = {(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert {(method, path) for method, path in routes if method != "head"} == described


async def test_everything_of_the_api_is_guarded(bench: Bench) -> None:
    app = create_admin(AdminConfig(token="right"), Backend(bench.proxy))
    paths = [path for path in DOCUMENT["paths"] if path.startswith("/api/") or path == "/openapi.json"]
    assert len(paths) == 14
    async with TestClient(TestServer(app)) as admin:
        for path in paths:
            method = "POST" if path == "/api/explain" else "GET"
            for headers in ({}, {"Authorization": "Bearer wrong"}):
                async with admin.request(method, path.format(name="ip"), headers=headers) as response:
                    assert response.status == 401
        async with admin.get("/api/shadow", headers={"Authorization": "Bearer right"}) as response:
            assert response.status == 200
        async with admin.get("/") as response:
            assert response.status == 200  # it asks for the token, and tells nothing before


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
async def test_a_browser_that_asks_for_another_sites_page_is_refused(bench: Bench, site: str, status: int) -> None:
    async with bench.admin.get("/api/shadow", headers={"Sec-Fetch-Site": site}) as response:
        assert response.status == status
    async with bench.admin.get("/api/shadow", headers={"Host": "evil.example"}) as response:
        assert response.status == 403
    async with bench.admin.get("/", headers={"Sec-Fetch-Site": site}) as response:
        assert response.status == 200
