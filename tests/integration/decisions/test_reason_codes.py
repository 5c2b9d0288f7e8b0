"""Every reason code, end to end: what the client sees, what the upstream does not, and what the audit line says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import pytest
import pytest_asyncio

from support.rig import ORIGIN, VISITOR, Rig, running_rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG: dict[str, Any] = {
    "orgs": {
        "unlisted": "block",
        "listed": {
            "o-TEST-na1": {},
            "o-OFF-na1": {"enabled": False},
            "o-WEB-na1": {"mobile": False},
            "o-FULL-na1": {"filters": {"quota": {"sessions": 0}}},
            "o-RAMP-na1": {"filters": {"ramping": {"share": "0%"}}},
            "o-CODE-na1": {"filters": {"blocked_user": {"block": ["uid-coded"], "reason_code": 7}}},
        },
    },
    "filters": {
        "script": {"min_compiled": "2023-08-03", "blocked_versions": ["cafe"]},
        "domain": {"rules": [{"block": "staging.example.com", "id": "no-staging"}]},
        "ip": {"block": ["203.0.113.0/24"]},
        "user_agent": {"block": ["YandexBot"]},
        "geo": {"never": ["AQ"]},
        "opt_out": {"gpc": True, "dnt": True},
        "deleting_user": {"block": ["uid-deleted", "user-deleted"]},
        "blocked_user": {"block": ["uid-blocked"]},
    },
}


PUBLIC_SUFFIXES = find_spec("publicsuffixlist") is not None


def _domain(host: str) -> str:
    """The host, or its registrable domain when the public suffix list is installed."""
    return ".".join(host.split(".")[-2:]) if PUBLIC_SUFFIXES else host


@dataclass(frozen=True)
class Case:
    """A page that is blocked, and how."""

    code: int
    text: str
    filter: str
    rule: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    host: str = "app.example.com"
    """Of the page; of its origin where the page names none."""


CASES = {
    "a blocked user": Case(-1, "Unspecified", "blocked_user", "blocked_user:block:d07381af", {"AppId": "uid-blocked"}),
    "a blocked user with a code": Case(
        7, "Geography", "blocked_user", "blocked_user:block:", {"OrgId": "o-CODE-na1", "AppId": "uid-coded"}
    ),
    "an unlisted org": Case(1, "Account does not exist", "org", "org:unlisted", {"OrgId": "o-WHO-na1"}),
    "no org": Case(1, "Account does not exist", "org", "org:unlisted", {"OrgId": None}),
    "an org that is no string": Case(1, "Account does not exist", "org", "org:unlisted", {"OrgId": 7}),
    "a disabled org": Case(2, "Account disabled", "org", "org:disabled", {"OrgId": "o-OFF-na1"}),
    "a mobile app": Case(
        2, "Account disabled", "org", "org:mobile", {"OrgId": "o-WEB-na1"}, {"User-Agent": "okhttp/4.9"}
    ),
    "an org over its quota": Case(3, "Over quota", "quota", "quota:sessions", {"OrgId": "o-FULL-na1"}),
    "a blocked domain": Case(
        4,
        "Domain Filter",
        "domain",
        "no-staging",
        {"Url": "https://Staging.Example.com./a"},
        host="staging.example.com",
    ),
    "a blocked address": Case(
        5, "IP Filter", "ip", "ip:block:203.0.113.0/24", headers={"X-Forwarded-For": "203.0.113.9"}
    ),
    "a blocked agent": Case(
        6, "User Agent", "user_agent", "user_agent:block:YandexBot", headers={"User-Agent": "a yandexbot/3.0"}
    ),
    "a blocked country": Case(7, "Geography", "geo", "geo:never:AQ", headers={"CF-IPCountry": "AQ"}),
    "a ramped-out visitor": Case(
        8, "Traffic Ramping", "ramping", "ramping:share", {"OrgId": "o-RAMP-na1", "UserId": "user-1"}
    ),
    "an invalid URL": Case(9, "Invalid URL", "url", "url:scheme", {"Url": "file:///etc/hosts"}, host=""),
    "no URL": Case(9, "Invalid URL", "url", "url:", {"Url": None}),
    "an opt-out cookie": Case(
        10, "Opt Out Cookie", "opt_out", "opt_out:cookie:fs_optout=1", headers={"Cookie": "a=b; fs_optout=1"}
    ),
    "global privacy control": Case(10, "Opt Out Cookie", "opt_out", "opt_out:gpc", headers={"Sec-GPC": "1"}),
    "do not track": Case(10, "Opt Out Cookie", "opt_out", "opt_out:dnt", headers={"DNT": "1"}),
    "an outdated script": Case(
        11, "Invalid Data Capture Script", "script", "script:min_compiled", {"CompiledTimestamp": 1_661_778_047}
    ),
    "a blocked version of the script": Case(
        11, "Invalid Data Capture Script", "script", "script:version:cafe", {"CompiledVersion": "cafe"}
    ),
    "a user being deleted, by uid": Case(
        12, "User actively being deleted", "deleting_user", "deleting_user:listed", {"AppId": "uid-deleted"}
    ),
    "a user being deleted, by user id": Case(
        12, "User actively being deleted", "deleting_user", "deleting_user:listed", {"UserId": "user-deleted"}
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with running_rig(CONFIG) as running:
        yield running


async def test_there_is_a_case_for_every_code(rig: Rig) -> None:
    assert {case.code for case in CASES.values()} == {-1, *range(1, 13)}


@pytest.mark.parametrize("name", CASES)
async def test_a_blocked_page_gets_202_with_its_reason_and_never_goes_up(rig: Rig, name: str) -> None:
    case = CASES[name]
    answer = await rig.page(case.headers, **case.fields)
    assert answer.status == 202
    assert answer.json() == {"reason_code": case.code, "reason": case.text, "cookie_domain": _domain(case.host)}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Vary"] == "Origin"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-Id"] == answer.request_id
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
    assert rig.forwarded(answer) == []

    line = await rig.line(answer)
    assert line["fsproxy.decision"] == "blocked"
    assert line["event.outcome"] == "success"
    assert (line["fsproxy.reason_code"], line["event.reason"]) == (case.code, case.text)
    assert line["fsproxy.filter"] == case.filter
    assert line["rule.id"].startswith(case.rule)
    assert line["http.response.status_code"] == 202
    assert "fsproxy.upstream.status_code" not in line
    said = answer.body.decode() + str(answer.headers)
    assert line["rule.id"] not in said


async def test_the_reason_is_spelled_letter_for_letter(rig: Rig) -> None:
    answer = await rig.page(OrgId="o-OFF-na1")
    assert answer.body.startswith(b'{"reason_code": 2, "reason": "Account disabled", "cookie_domain": "')


async def test_what_no_rule_blocks_is_forwarded_and_its_answer_comes_back(rig: Rig) -> None:
    answer = await rig.page()
    assert answer.status == 200
    assert answer.json()["IsNewSession"] is True
    assert len(rig.forwarded(answer)) == 1
    line = await rig.line(answer)
    assert line["fsproxy.decision"] == "captured"
    assert "fsproxy.reason_code" not in line
    assert "rule.id" not in line


async def test_the_opt_out_cookie_is_read_though_only_the_recorders_cookie_goes_up(rig: Rig) -> None:
    answer = await rig.page({"Cookie": "secret=1; fs_optout=0; fs_uid=#a#b:c:1"})
    assert answer.status == 200
    (received,) = rig.forwarded(answer)
    assert received.values("Cookie") == ["fs_uid=#a#b:c:1"]


async def test_the_answer_names_the_exact_origin_or_none(rig: Rig) -> None:
    other = await rig.page({"Origin": "http://localhost:3000"}, OrgId="o-OFF-na1")
    assert other.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    opaque = await rig.page({"Origin": "null"}, OrgId="o-OFF-na1")
    assert opaque.headers["Access-Control-Allow-Origin"] == "null"
    none = await rig.page({"Origin": ""}, OrgId="o-OFF-na1")
    assert "Access-Control-Allow-Origin" not in none.headers
    assert none.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'"a"', b"{", b'{"OrgId": NaN}', b"\xff{}", b"7", b"[" * 100_000]
)
async def test_a_page_that_is_no_json_object_gets_a_400_with_cors_and_an_audit_line(rig: Rig, body: bytes) -> None:
    answer = await rig.send("/rec/page", body)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert rig.forwarded(answer) == []
    line = await rig.line(answer)
    assert line["fsproxy.decision"] == "failed"
    assert line["fsproxy.error"] == "uninspectable"


async def test_no_other_site_is_named_by_the_configured_list_of_origins() -> None:
    config = {"cors": {"origins": ["*.example.com"]}, "orgs": {"unlisted": "block"}}
    async with running_rig(config) as rig:
        listed, other = await rig.page(), await rig.page({"Origin": "https://evil.example"})
    assert (listed.status, other.status) == (202, 202)
    assert listed.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Origin" not in other.headers
    assert other.headers["Vary"] == "Origin"


async def test_every_request_has_exactly_one_audit_line(rig: Rig) -> None:
    """The last of this module: counts what all of the others sent."""
    await rig.line(rig.sent[-1])
    ids = [line["http.request.id"] for line in rig.proxy.audit_lines()]
    assert sorted(ids) == sorted(rig.sent)
    addresses = {line.get("client.ip") for line in rig.proxy.audit_lines()}
    assert VISITOR not in addresses
