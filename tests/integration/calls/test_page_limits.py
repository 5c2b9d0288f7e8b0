"""The limits that hold for a page (``client_api.limits: current``), through a running proxy (rules.md 2)."""

from __future__ import annotations

import pytest

from integration.calls.conftest import OrgOf
from integration.calls.rig import Rig, bundle_of, calls_of, first, fresh, members, second

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_each_page_of_a_session_may_send_forty_events_a_second(rig: Rig, org_of: OrgOf) -> None:
    org, session = org_of("current"), fresh("s")
    for _ in range(2):
        page = fresh("p")
        early, late = ([first("E", {"n_int": n}, n * 20.0) for n in part] for part in (range(25), range(25, 45)))
        ids = {"OrgId": org, "SessionId": session, "PageId": page}
        assert len(calls_of((await rig.upload(bundle_of(*early), **ids)).sent)) == 25
        got = await rig.upload(bundle_of(*late, seq=2), zipped="query", **ids)
        assert len(calls_of(got.sent)) == 15
        line = await rig.line_of(got)
        assert line["fsproxy.rejections"][0] == {"code": "RateLimited", "call": "E", "property": None}


async def test_calls_of_a_page_that_come_twice_spend_once_on_any_route(rig: Rig, org_of: OrgOf) -> None:
    ids = {"OrgId": org_of("current"), "SessionId": fresh("s"), "PageId": fresh("p")}
    calls = [first("page", {"n_int": n}, n * 10.0) for n in range(10)]
    assert len(calls_of((await rig.upload(bundle_of(*calls), path="/rec/event", **ids)).sent)) == 10
    one_more = first("page", {"n_int": 11}, 500.0)
    refused = await rig.upload(bundle_of(one_more), path="/rec/event", **ids)
    assert (refused.status, refused.forwarded, refused.codes) == (429, None, [("RateLimited", None)])
    assert refused.json["errors"][0]["detail"] == "more than 10 in 1 s on a page or 30 in 60 s on a page"
    again = await rig.upload(bundle_of(*calls, one_more, first("page", {"n_int": 12}, 1_050.0)), **ids)
    assert [each["When"] for each in calls_of(again.sent)] == [*(n * 10.0 for n in range(10)), 1_050.0]


@pytest.mark.parametrize("generation", [1, 2])
async def test_a_page_sets_fifty_properties_and_its_name(rig: Rig, org_of: OrgOf, generation: int) -> None:
    ids = {"OrgId": org_of("current"), "SessionId": fresh("s"), "PageId": fresh("p")}
    if generation == 1:
        values = {f"a{n}_int": n for n in range(52)} | {"pageName": "Home"}
        got = await rig.upload(bundle_of(first("page", values)), **ids)
    else:
        values = {f"a{n}": n for n in range(52)} | {"pageName": "Home"}
        got = await rig.upload(bundle_of(second("page", values, {f"a{n}": "int" for n in range(52)})), **ids)
    (call,) = calls_of(got.sent)
    names = list(values)
    assert members(call) == [*names[:50], "pageName"]
    if generation == 2:
        assert members(call, 4) == names[:50]
    line = await rig.line_of(got)
    assert [(each["code"], each["property"]) for each in line["fsproxy.rejections"]] == [
        ("CardinalityExceeded", names[50]),
        ("CardinalityExceeded", names[51]),
    ]
    assert "Home" not in str(line)


async def test_direct_calls_have_no_page_so_the_session_may_call_as_often(rig: Rig, org_of: OrgOf) -> None:
    ids = {"OrgId": org_of("current"), "SessionId": fresh("s")}
    answers = [await rig.direct("setUserVars", {"a_int": n}, PageId=fresh("p"), **ids) for n in range(31)]
    limited = [each for each in answers if each.status == 429]
    assert limited
    assert limited[-1].headers["RateLimit-Policy"] == '"1s";q=10;w=1, "60s";q=30;w=60'


async def test_hyphens_pass(rig: Rig, org_of: OrgOf) -> None:
    body = bundle_of(first("E", {"order-id_str": "A1"}), first("user", {"first-seen_date": "2026-11-30"}))
    assert (await rig.upload(body, OrgId=org_of("current"))).sent == body
