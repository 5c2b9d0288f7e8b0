"""``workers: 2``: the admin port answers for both as if they were one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.call_samples import bundle, first
from support.proxy import RunningProxy
from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer
from support.workers import (
    DEADLINE,
    POLL,
    counted,
    fresh_connections,
    pids,
    ready,
    running_workers,
    shared,
    visit,
)

CONFIG: dict[str, Any] = {
    "admin": {"token": "right"},
    "filters": {
        "domain": {"mode": "shadow", "rules": [{"block": "staging.example.com", "id": "no-staging"}]},
        "user_agent": {"block": ["YandexBot"]},
        "quota": {"sessions": 1000},
    },
    "client_api": {"cardinality": {"event_names": 2}},
    "orgs": {"listed": {"o-1": {}, "o-off": {"enabled": False}}},
}
TOKEN = {"Authorization": "Bearer right"}
MOST_TRIES = 200


@pytest.fixture
async def proxy(upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path) -> AsyncIterator[RunningProxy]:
    async with running_workers(shared(upstream.url, valkey, **CONFIG), tmp_path) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Each request on a connection of its own."""
    async with fresh_connections() as session:
        yield session


async def get(http: aiohttp.ClientSession, proxy: RunningProxy, path: str) -> Any:
    async with http.get(proxy.admin_url + path, headers=TOKEN) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def visit_both(http: aiohttp.ClientSession, proxy: RunningProxy) -> set[str]:
    """Visits until each worker has had at least three; the sessions."""
    sessions: set[str] = set()
    for number in range(MOST_TRIES):
        session = f"s-{number}"
        assert await visit(http, proxy, session) is None
        sessions.add(session)
        lines = [line["fsproxy.worker"] for line in proxy.audit_lines()]
        if min(lines.count(1), lines.count(2)) >= 3:
            return sessions
    raise AssertionError("the kernel gives one of them nothing")


async def test_the_decisions_of_both_stand_in_one_answer_newest_first(
    http: aiohttp.ClientSession, proxy: RunningProxy
) -> None:
    sessions = await visit_both(http, proxy)
    told = await get(http, proxy, "/api/decisions?limit=500")
    assert told["workers"] == {"configured": 2, "answered": 2}
    assert {each["line"]["fsproxy.session_id"] for each in told["decisions"]} == sessions
    assert {each["worker"] for each in told["decisions"]} == {1, 2}
    # In the order in which they ended: a worker may have to wait for the processor before it notes an end.
    ends = [each["ended"] for each in told["decisions"]]
    assert ends == sorted(ends, reverse=True)
    assert told["number"] == len(sessions)
    one = await get(http, proxy, "/api/decisions?limit=500&session=s-0&code=captured&org=o-1")
    assert {each["line"]["fsproxy.session_id"] for each in one["decisions"]} == {"s-0"}
    assert len((await get(http, proxy, "/api/decisions?limit=2"))["decisions"]) == 2
    assert (await get(http, proxy, "/api/decisions?q=nobody%20at%20all%20%26"))["decisions"] == []


async def test_pages_of_both_hold_each_request_once_and_the_status_is_of_both(
    http: aiohttp.ClientSession, proxy: RunningProxy
) -> None:
    sessions = await visit_both(http, proxy)
    shown: list[tuple[int, int]] = []
    query = "limit=2"
    while query:
        told = await get(http, proxy, f"/api/decisions?{query}")
        assert (told["matching"], told["counts"]["captured"]) == (len(sessions), len(sessions))
        shown += [(each["worker"], each["number"]) for each in told["decisions"]]
        query = f"limit=2&before={told['next']}" if told["next"] else ""
    assert len(shown) == len(set(shown)) == len(sessions)
    status = await get(http, proxy, "/api/status")
    assert status["workers"] == {"configured": 2, "answered": 2}
    assert (status["hour"]["pages"], status["upstream"]["state"]) == (len(sessions), "up")
    assert (status["store"]["kind"], status["store"]["state"], status["alerts"]) == ("redis", "up", [])
    own = await get(http, proxy, "/api/traffic?minutes=5&org=o-1")
    assert sum(each["pages"]["captured"] for each in own["minutes"]) == len(sessions)
    assert own["orgs"] == ["o-1"]
    assert await counted(http, proxy, 'fsproxy_org_sessions_total{org="o-1"}') == len(sessions)


async def test_traffic_shadow_hits_and_rejections_are_sums(http: aiohttp.ClientSession, proxy: RunningProxy) -> None:
    page = {"OrgId": "o-1", "UserId": "", "SessionId": "", "Url": "https://staging.example.com/"}
    target = f"{proxy.url}/rec/bundle/v2?OrgId=o-1&UserId=u&SessionId=s-%d&PageId=p&Seq=1"
    for number in range(30):
        async with http.post(f"{proxy.url}/rec/page", data=json.dumps(page | {"SessionId": f"s-{number}"})) as response:
            assert response.status == 200
        async with http.post(target % number, data=bundle(first("One", {"a b": 1}))) as response:
            assert response.status == 200
    minutes = (await get(http, proxy, "/api/traffic?minutes=5"))["minutes"]
    assert len(minutes) == 5
    assert sum(each["pages"]["captured"] for each in minutes) == 30
    (rule,) = (await get(http, proxy, "/api/shadow"))["rules"]
    assert (rule["rule"], rule["pages"]) == ("no-staging", 30)
    (group,) = (await get(http, proxy, "/api/rejections"))["groups"]
    assert (group["code"], group["call"], group["property"], group["count"]) == (
        "InvalidPropertyName",
        "One",
        "a b",
        30,
    )
    assert group["first"] < group["last"]


async def test_usage_is_known_though_it_is_counted_in_redis(
    http: aiohttp.ClientSession, proxy: RunningProxy, valkey: ValkeyServer
) -> None:
    sessions = await visit_both(http, proxy)
    target = f"{proxy.url}/rec/bundle/v2?OrgId=o-1&UserId=u&SessionId=s-0&PageId=p&Seq=1"
    calls = [first(name, {}, when=number) for number, name in enumerate(["One", "Two", "Three"])]
    async with http.post(target, data=bundle(*calls)) as response:
        assert response.status == 200
    async with asyncio.timeout(DEADLINE):
        # What was told last is told again for some seconds, and a confirmed session is told behind.
        while (org := (await get(http, proxy, "/api/usage"))["orgs"][0])["quota"]["used"] != len(sessions):
            await asyncio.sleep(POLL)
    assert (org["org"], org["quota"]["limit"]) == ("o-1", 1000)
    names = org["names"]["event_name"]
    assert (names["known"], names["limit"]) == (2, 2)
    assert [each["name"] for each in names["newest"]] == ["Two", "One"]
    assert [each["name"] for each in names["refused"]] == ["Three"]
    assert await counted(http, proxy, 'fsproxy_quota_used{org="o-1"}') == len(sessions)
    assert await counted(http, proxy, 'fsproxy_quota_limit{org="o-1"}') == 1000
    assert await counted(http, proxy, 'fsproxy_names{kind="event_name",org="o-1"}') == 2
    valkey.kill()
    async with asyncio.timeout(DEADLINE):
        while (told := await get(http, proxy, "/api/usage"))["known"]:
            await asyncio.sleep(POLL)
    assert told["orgs"][0]["quota"]["used"] is None
    assert told["orgs"][0]["names"]["event_name"]["known"] is None


async def test_the_page_is_served_and_lives_on_the_events_of_both(
    http: aiohttp.ClientSession, proxy: RunningProxy
) -> None:
    async with http.get(proxy.admin_url + "/") as response:
        assert response.status == 200
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    seen: set[int] = set()
    async with http.get(proxy.admin_url + "/api/events", headers=TOKEN) as response, asyncio.timeout(DEADLINE):
        assert response.headers["Content-Type"] == "text/event-stream"
        events = aiter(response.content)
        opened = json.loads((await anext(events))[6:])
        assert (opened["decisions"], opened["mode"], opened["generation"]) == ([], "enforce", 1)
        assert opened["workers"] == {"configured": 2, "answered": 2}
        assert opened["store"]["state"] == "up"
        sessions = await visit_both(http, proxy)
        told: list[str] = []
        async for line in events:
            if line.startswith(b"data: "):
                event = json.loads(line[6:])
                told += [each["line"]["fsproxy.session_id"] for each in event["decisions"]]
                seen |= {each["worker"] for each in event["decisions"]}
                if len(told) >= len(sessions):
                    break
        await proxy.stop()
        assert not proxy.killed, "an open stream does not keep the program from stopping"
    assert sorted(told) == sorted(sessions), "each once"
    assert seen == {1, 2}
    assert sum(each["pages"]["captured"] for each in event["minutes"]) <= len(sessions)


async def test_explain_and_the_configuration_are_any_workers(http: aiohttp.ClientSession, proxy: RunningProxy) -> None:
    for question, status, told in (
        ({"org": "o-off", "url": "https://example.com/"}, 200, {"decision": "blocked", "reason_code": 2}),
        ({"org": "o-1", "url": "https://example.com/"}, 200, {"decision": "captured", "quota_known": True}),
        ({"url": "https://example.com/", "ip": "10.0.0.300"}, 400, {"error": "ip: not an address"}),
    ):
        async with http.post(proxy.admin_url + "/api/explain", json=question, headers=TOKEN) as response:
            assert response.status == status
            assert told.items() <= (await response.json()).items()
    config = await get(http, proxy, "/api/config")
    assert config["workers"] == {"configured": 2, "answered": 2, "generations": {"1": 1, "2": 1}}
    assert (config["mode"], config["reload"]["error_count"]) == ("enforce", 0)
    assert config["config"]["admin"]["token"] == "(hidden)"


async def test_all_of_it_needs_the_token(http: aiohttp.ClientSession, proxy: RunningProxy) -> None:
    described = (await get(http, proxy, "/openapi.json"))["paths"]
    asked = [(method, path) for path, of_path in described.items() if path.startswith("/api/") for method in of_path]
    assert len(asked) > 10
    for method, path in asked:
        async with http.request(method, proxy.admin_url + path) as response:
            assert response.status == 401, path
    async with http.get(f"{proxy.admin_url}/api/tick?after=0", headers=TOKEN) as response:
        assert response.status == 404, "that is between the workers and their supervisor"


async def test_a_worker_that_hangs_is_left_out_and_said_to_be(http: aiohttp.ClientSession, proxy: RunningProxy) -> None:
    sessions = await visit_both(http, proxy)
    victim = (await pids(http, proxy))["1"]
    os.kill(victim, signal.SIGSTOP)
    try:
        told = await get(http, proxy, "/api/decisions?limit=500")
        assert told["workers"] == {"configured": 2, "answered": 1}
        assert {each["worker"] for each in told["decisions"]} == {2}
        assert 0 < len(told["decisions"]) < len(sessions)
        async with http.get(proxy.admin_url + "/api/events", headers=TOKEN) as response, asyncio.timeout(DEADLINE):
            event = json.loads((await response.content.readline())[6:])
        assert event["workers"] == {"configured": 2, "answered": 1}
        question = {"org": "o-off", "url": "https://example.com/"}
        async with http.post(proxy.admin_url + "/api/explain", json=question, headers=TOKEN) as response:
            assert (await response.json())["reason_code"] == 2
        async with asyncio.timeout(DEADLINE):  # it may only be busy, so this takes ten seconds
            while "worker 1 of 2 does not answer" not in (await ready(http, proxy))["warnings"]:
                await asyncio.sleep(POLL)
    finally:
        os.kill(victim, signal.SIGCONT)
    async with asyncio.timeout(DEADLINE):
        while (await get(http, proxy, "/api/decisions"))["workers"]["answered"] != 2:
            await asyncio.sleep(POLL)
