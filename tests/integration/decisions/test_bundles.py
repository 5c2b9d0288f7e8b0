"""What is judged on bundles, events and sockets, and what becomes of a blocked page's own (rules.md 1)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from support.everything import FIELDS, FILTERS, HEADERS
from support.rig import BUNDLE, ORIGIN, Answer, Rig, running_rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATHS = ("/rec/bundle", "/rec/bundle/v2", "/rec/event")
CONFIG: dict[str, Any] = {
    "orgs": {
        "listed": {
            "o-OFF-na1": {"enabled": False},
            "o-WEB-na1": {"mobile": False},
            "o-NONE-na1": {"filters": {"on_bundles": []}},
            "o-GEO-na1": {"filters": {"on_bundles": ["geo", "user_agent"]}},
            "o-SHADOW-na1": {"filters": {"ip": {"mode": "shadow"}}},
            "o-SHADOWS-na1": {"filters": {name: {"mode": "shadow"} for name in FILTERS}},
        }
    },
    "filters": {**FILTERS, "quota": {"sessions": None}, "ramping": {"share": "100%"}},
}
BLOCKED: dict[str, tuple[int, dict[str, str], dict[str, str]]] = {
    "org": (2, {}, {"OrgId": "o-OFF-na1"}),
    "mobile": (2, {"User-Agent": "okhttp/4.9"}, {"OrgId": "o-WEB-na1"}),
    "domain": (4, {"Origin": "https://staging.example.com"}, {}),
    "ip": (5, {"X-Forwarded-For": "203.0.113.9"}, {}),
    "user_agent": (6, {"User-Agent": "YandexBot/3.0"}, {}),
    "geo": (7, {"CF-IPCountry": "AQ"}, {"OrgId": "o-GEO-na1"}),
    "deleting_user": (12, {}, {"UserId": "uid-bad"}),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with running_rig(CONFIG) as running:
        yield running


def _check(answer: Answer, code: int, origin: str = ORIGIN) -> None:
    assert (answer.status, answer.json()["reason_code"]) == (202, code)
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", BLOCKED)
async def test_an_upload_is_judged_by_what_it_shows(rig: Rig, path: str, name: str) -> None:
    code, headers, query = BLOCKED[name]
    answer = await rig.bundle(headers, path, **query)
    _check(answer, code, headers.get("Origin", ORIGIN))
    assert rig.forwarded(answer) == []
    line = await rig.line(answer)
    assert line["event.action"] == ("event" if path == "/rec/event" else "bundle")
    assert (line["fsproxy.decision"], line["fsproxy.reason_code"]) == ("blocked", code)


@pytest.mark.parametrize("name", BLOCKED)
@pytest.mark.parametrize("cmd", [2, 6])
async def test_a_sockets_frame_is_judged_in_the_same_way(rig: Rig, name: str, cmd: int) -> None:
    code, headers, query = BLOCKED[name]
    sent = rig.headers(headers)
    ids = {"OrgId": "o-TEST-na1", "UserId": "u-1", "SessionId": "s-1", "PageId": "p-1", **query}
    frame = {"Cmd": cmd, "Bundle": {"Bundle": json.loads(BUNDLE), **ids}, "Seq": 7}
    async with rig.http.ws_connect(rig.proxy.url + rig.target("/rec/sock", **query), headers=sent) as socket:
        await socket.send_json(frame)
        answer = await socket.receive_json(timeout=30)
    assert (answer["Cmd"], answer["Seq"], answer["Fail"]["Status"]) == (3, 7, 202)
    assert json.loads(answer["Fail"]["Error"])["reason_code"] == code
    line = await rig.line(f"{sent['X-Request-Id']}.1")
    assert (line["event.action"], line["fsproxy.reason_code"]) == ("socket", code)
    assert rig.forwarded(sent["X-Request-Id"]) == []


async def test_a_socket_that_no_rule_blocks_is_open_both_ways_and_has_one_line(rig: Rig) -> None:
    sent = rig.headers()
    async with rig.http.ws_connect(rig.proxy.url + rig.target("/rec/sock"), headers=sent) as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
    line = await rig.line(sent["X-Request-Id"])
    assert (line["event.action"], line["http.response.status_code"]) == ("socket", 101)


async def test_script_url_opt_out_ramping_and_quota_are_judged_on_pages_alone() -> None:
    """With everything that a bundle can carry: a first visit's, with an opt-out cookie, of a full org."""
    config = {
        "filters": {
            "script": {"require": True},
            "url": {"match_origin": True},
            "opt_out": {"gpc": True},
            "ramping": {"share": "0%"},
            "quota": {"sessions": 0},
        }
    }
    async with running_rig(config) as full:
        headers = {"Cookie": "fs_optout=1", "Sec-GPC": "1"}
        for path in PATHS:
            answer = await full.bundle(headers, path)
            assert answer.status == 200
            assert len(full.forwarded(answer)) == 1
            assert "fsproxy.shadow" not in await full.line(answer)


@pytest.mark.parametrize("origin", ["null", ""])
async def test_an_upload_without_a_readable_origin_is_not_judged_by_domain(rig: Rig, origin: str) -> None:
    assert (await rig.bundle({"Origin": origin})).status == 200


async def test_what_is_not_listed_in_on_bundles_is_not_judged_there(rig: Rig) -> None:
    answer = await rig.bundle(HEADERS, OrgId="o-NONE-na1", UserId="uid-bad")
    assert answer.status == 200
    geo = await rig.bundle({"CF-IPCountry": "AQ"})
    assert geo.status == 200


async def test_a_shadow_hit_on_a_bundle_is_noted_and_the_bundle_goes_on(rig: Rig) -> None:
    answer = await rig.bundle({"X-Forwarded-For": "203.0.113.9"}, OrgId="o-SHADOW-na1")
    assert answer.status == 200
    line = await rig.line(answer)
    assert (line["fsproxy.decision"], line["fsproxy.shadow"][0]["filter"]) == ("forwarded", "ip")


PAGES: dict[str, tuple[int, dict[str, str], dict[str, Any]]] = {
    "script": (11, {}, {"CompiledTimestamp": 1}),
    "url": (9, {}, {"Url": "https://app.example.com/longer/than/that"}),
    "opt_out": (10, {"Cookie": "fs_optout=1"}, {"Url": ORIGIN[:20]}),
    "blocked_user": (-1, {}, {"AppId": "uid-blocked", "Url": "https://a.example/"}),
    "deleting_user": (12, {}, {"AppId": "uid-bad", "Url": "https://a.example/"}),
    "domain": (4, {}, {"Url": "https://st.a.example"}),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict() -> AsyncIterator[Rig]:
    filters = {
        **CONFIG["filters"],
        "url": {"max_length": 30},
        "blocked_user": {"block": ["uid-blocked"]},
        "domain": {"rules": [{"block": "st.a.example"}]},
    }
    orgs = {"listed": {"o-FULL-na1": {"filters": {"quota": {"sessions": 0}}}}}
    async with running_rig({"orgs": orgs, "filters": filters}) as running:
        yield running


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", PAGES)
async def test_a_blocked_pages_own_uploads_get_the_pages_answer(strict: Rig, path: str, name: str) -> None:
    """They carry nothing that any filter knows: the page is remembered, by its org and id."""
    code, headers, fields = PAGES[name]
    page_id = str(uuid4())
    page = await strict.page(headers, **fields, PageId=page_id)
    assert page.json()["reason_code"] == code
    own = await strict.bundle(path=path, PageId=page_id)
    _check(own, code)
    assert own.json()["reason"] == page.json()["reason"]
    assert strict.forwarded(own) == []
    page_line, own_line = await strict.line(page), await strict.line(own)
    for name_ in ("rule.id", "fsproxy.filter", "fsproxy.reason_code", "event.reason"):
        assert own_line[name_] == page_line[name_]


async def test_an_over_quota_pages_own_bundle_is_blocked_too(strict: Rig) -> None:
    page_id = str(uuid4())
    page = await strict.page(OrgId="o-FULL-na1", Url="https://a.example/", PageId=page_id)
    assert page.json()["reason_code"] == 3
    _check(await strict.bundle(OrgId="o-FULL-na1", PageId=page_id), 3)


async def test_the_leftover_bundle_of_an_earlier_page_that_was_allowed_is_forwarded(strict: Rig) -> None:
    first, second = str(uuid4()), str(uuid4())
    assert (await strict.page(Url="https://a.example/", PageId=first)).status == 200
    assert (await strict.page({"Cookie": "fs_optout=1"}, Url="https://a.example/", PageId=second)).status == 202
    leftover = await strict.bundle(PageId=first, DeltaT="10")
    assert leftover.status == 200
    assert len(strict.forwarded(leftover)) == 1
    assert (await strict.bundle(PageId=second)).status == 202


async def test_a_page_id_of_another_org_is_another_page(strict: Rig) -> None:
    page_id = str(uuid4())
    assert (await strict.page(CompiledTimestamp=1, PageId=page_id)).status == 202
    assert (await strict.bundle(PageId=page_id, OrgId="o-OTHER-na1")).status == 200


async def test_a_shadow_remembers_no_page(rig: Rig) -> None:
    page_id = str(uuid4())
    page = await rig.page(HEADERS, **FIELDS, OrgId="o-SHADOWS-na1", PageId=page_id)
    assert page.status == 200
    assert (await rig.bundle(OrgId="o-SHADOWS-na1", PageId=page_id)).status == 200


async def test_a_recording_that_ends_by_a_block_is_counted(rig: Rig) -> None:
    name = "fsproxy_recordings_ended_total"
    before = await rig.counted(name, cause="blocked")
    _check(await rig.bundle({"User-Agent": "YandexBot"}), 6)
    assert await rig.counted(name, cause="blocked") == before + 1
