"""A user being deleted is stopped at once, and not at the next page (rules.md 10)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.proxy import POLL, running_proxy
from support.rig import Answer, Rig, running_rig
from support.upstream import RecordingUpstream

LISTED, LATER = "ann@example.com", "ben@example.com"
CODE = 12
FILE = "deleting.txt"
NAMING = {"client.ip", "client.address", "fsproxy.session_id", "fsproxy.user_id", "fsproxy.fresh_user_id"}
ORGS: dict[str, Any] = {
    "o-SHADOW-na1": {"filters": {"deleting_user": {"mode": "shadow"}}},
    "o-OFF-na1": {"filters": {"deleting_user": {"mode": "off"}}},
    "o-PAGES-na1": {"filters": {"on_bundles": ["ip"]}},
    "o-UNREAD-na1": {"client_api": {"mode": "off"}},
}
CONFIG: dict[str, Any] = {
    "orgs": {"listed": ORGS},
    "filters": {"deleting_user": {"block": [f"file:{FILE}"]}},
    "audit": {"client_ip": "full"},
}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running_rig(CONFIG, files={FILE: f"{LISTED}\n"}) as running:
        yield running


def identifying(uid: str, *, second_generation: bool = False, more: str = "") -> bytes:
    """A bundle in which the site calls ``identify``."""
    args = ["user", json.dumps({"uid": uid}), *([None, 1, "{}"] if second_generation else [])]
    events = [
        {"Kind": 98, "Args": ["api", "user"], "When": 5},
        {"Kind": 8193, "Args": args, "When": 5},
        {"Kind": 25, "Args": [more], "When": 6},
    ]
    return json.dumps({"Seq": 1, "When": 0, "Evts": events}).encode()


async def list_user(rig: Rig, uid: str) -> None:
    """Adds a user to the list, and waits until the next generation judges."""
    before = json.loads((await rig.admin("/readyz"))[1])["generation"]
    (rig.proxy.folder / FILE).write_text(f"{LISTED}\n{uid}\n")
    async with asyncio.timeout(120):
        while json.loads((await rig.admin("/readyz"))[1])["generation"] == before:
            await asyncio.sleep(POLL)


async def assert_blocked(rig: Rig, answer: Answer) -> None:
    assert (answer.status, answer.json()["reason_code"]) == (202, CODE)
    assert rig.forwarded(answer) == []
    line = await rig.line(answer)
    assert (line["fsproxy.decision"], line["fsproxy.reason_code"]) == ("blocked", CODE)
    assert line["rule.id"] == "deleting_user:listed"
    assert not NAMING.intersection(line)


async def test_the_next_bundle_of_a_session_is_stopped_when_its_uid_is_listed(rig: Rig) -> None:
    """Its page told the uid."""
    assert (await rig.page(SessionId="s", UserId="u", AppId=LATER)).status == 200
    assert (await rig.bundle(SessionId="s", UserId="u", PageId="p")).status == 200
    await list_user(rig, LATER)
    for path in ("/rec/bundle", "/rec/bundle/v2", "/rec/event"):
        await assert_blocked(rig, await rig.bundle(path=path, SessionId="s", UserId="u", PageId="p"))
    assert (await rig.bundle(SessionId="another", UserId="v", PageId="p2")).status == 200


@pytest.mark.parametrize("second_generation", [False, True])
async def test_the_same_when_a_call_in_a_bundle_told_the_uid(rig: Rig, *, second_generation: bool) -> None:
    body = identifying(LATER, second_generation=second_generation)
    answer = await rig.bundle(body=body, SessionId="s", UserId="u", PageId="p")
    assert (answer.status, rig.forwarded(answer)[0].body) == (200, body)
    await list_user(rig, LATER)
    await assert_blocked(rig, await rig.bundle(SessionId="s", UserId="u", PageId="p"))


@pytest.mark.parametrize("ids", [{"SessionId": "s"}, {"UserId": "u"}])
async def test_the_same_when_a_direct_call_told_it_and_for_direct_calls(rig: Rig, ids: dict[str, str]) -> None:
    target = rig.target("/client/identify", **{"SessionId": "", "UserId": "", "PageId": "", **ids})
    assert (await rig.send(target, json.dumps({"uid": LATER}).encode())).status == 200
    await list_user(rig, LATER)
    event = rig.target("/client/event", **{"SessionId": "", "UserId": "", "PageId": "", **ids})
    await assert_blocked(rig, await rig.send(event, b'{"name":"Bought","properties":{}}'))
    await assert_blocked(rig, await rig.bundle(**{"SessionId": "", "UserId": "", "PageId": "", **ids}))


async def test_a_session_of_the_visitors_cookie_is_known_as_well(rig: Rig) -> None:
    cookie = {"Cookie": "fs_uid=#o-TEST-na1#u-9:s-9:1::1#hash#/9999999999"}
    assert (await rig.bundle(cookie, body=identifying(LATER), SessionId="", UserId="", PageId="")).status == 200
    await list_user(rig, LATER)
    await assert_blocked(rig, await rig.bundle(cookie, SessionId="", UserId="", PageId="p"))


@pytest.mark.parametrize("path", ["/rec/bundle", "/rec/event"])
@pytest.mark.parametrize("second_generation", [False, True])
async def test_the_bundle_that_names_a_listed_user_is_stopped_and_so_is_the_session(
    rig: Rig, path: str, *, second_generation: bool
) -> None:
    body = identifying(LISTED, second_generation=second_generation)
    await assert_blocked(rig, await rig.bundle(path=path, body=body, SessionId="s", UserId="", PageId="p"))
    await assert_blocked(rig, await rig.bundle(path=path, SessionId="s", UserId="", PageId="another"))


async def test_a_large_bundle_and_one_whose_call_is_rejected_are_no_way_around(rig: Rig) -> None:
    await assert_blocked(rig, await rig.bundle(body=identifying(LISTED, more="x" * 200_000), SessionId="s1", UserId=""))
    vars_too_long = {"uid": LISTED, "nosuffix": 1, "displayName": "x" * 300}
    event = {"Kind": 8193, "Args": ["user", json.dumps(vars_too_long)], "When": 1}
    body = json.dumps({"Seq": 1, "When": 0, "Evts": [event]}).encode()
    await assert_blocked(rig, await rig.bundle(body=body, SessionId="s2", UserId=""))


async def test_a_direct_identify_of_a_listed_user_is_stopped(rig: Rig) -> None:
    target = rig.target("/client/identify", SessionId="s", UserId="u")
    await assert_blocked(rig, await rig.send(target, json.dumps({"uid": LISTED}).encode()))


async def test_other_pages_of_a_session_are_stopped_once_one_page_shows_a_listed_uid(rig: Rig) -> None:
    assert (await rig.page(SessionId="s", UserId="u")).status == 200
    await assert_blocked(rig, await rig.page(SessionId="s", UserId="u", PageId="p2", AppId=LISTED))
    await assert_blocked(rig, await rig.bundle(SessionId="s", UserId="u", PageId="p1"))


async def test_a_session_that_has_another_uid_by_now_goes_on(rig: Rig) -> None:
    assert (await rig.bundle(body=identifying(LATER), SessionId="s", UserId="", PageId="p")).status == 200
    assert (await rig.bundle(body=identifying("carl"), SessionId="s", UserId="", PageId="p")).status == 200
    await list_user(rig, LATER)
    assert (await rig.bundle(SessionId="s", UserId="", PageId="p")).status == 200


async def test_without_the_calls_rules_bodies_are_still_read_for_listed_users(rig: Rig) -> None:
    body = identifying(LISTED)
    await assert_blocked(rig, await rig.bundle(body=body, OrgId="o-UNREAD-na1", SessionId="s", UserId=""))
    event = {"Kind": 8197, "Args": ["", "{}"], "When": 1}
    invalid = json.dumps({"Seq": 1, "When": 0, "Evts": [event]}).encode()
    for other in (invalid, b"no bundle at all"):
        answer = await rig.bundle(body=other, OrgId="o-UNREAD-na1", SessionId="s2", UserId="")
        assert (answer.status, rig.forwarded(answer)[0].body) == (200, other)


async def test_a_filter_in_shadow_notes_it_and_names_nobody(rig: Rig) -> None:
    for body in (identifying(LISTED), identifying("x" * 300)):
        answer = await rig.bundle(body=body, OrgId="o-SHADOW-na1", SessionId="s", UserId="")
        assert answer.status == 200
        line = await rig.line(answer)
        assert [each["reason_code"] for each in line["fsproxy.shadow"]] == [CODE]
        assert not NAMING.intersection(line)


@pytest.mark.parametrize("org", ["o-OFF-na1", "o-PAGES-na1"])
async def test_a_filter_that_is_off_or_not_for_bundles_blocks_none(rig: Rig, org: str) -> None:
    assert (await rig.bundle(body=identifying(LISTED), OrgId=org, SessionId="s", UserId="")).status == 200
    answer = await rig.bundle(OrgId=org, SessionId="s", UserId="")
    assert answer.status == 200
    assert ("client.ip" in await rig.line(answer)) == (org == "o-OFF-na1")


async def test_frames_of_an_open_socket_are_stopped_too(rig: Rig) -> None:
    def frame(session: str, uid: str) -> dict[str, Any]:
        ids = {"OrgId": "o-TEST-na1", "UserId": "", "SessionId": session, "PageId": "p"}
        return {"Cmd": 2, "Seq": 1, "Bundle": {"Bundle": json.loads(identifying(uid)), **ids}}

    async with rig.http.ws_connect(rig.proxy.url + "/rec/sock", headers=rig.headers()) as socket:
        await socket.send_json(frame("s1", LISTED))
        fail = (await socket.receive_json())["Fail"]
        assert (fail["Status"], json.loads(fail["Error"])["reason_code"]) == (202, CODE)
        await socket.send_json(frame("s2", LATER))
        assert (await socket.receive_json())["Cmd"] == 2  # the upstream of these tests echoes
        await list_user(rig, LATER)
        for session in ("s1", "s2"):
            await socket.send_json(frame(session, ""))
            assert (await socket.receive_json())["Fail"]["Status"] == 202


async def test_no_uid_is_written_anywhere(rig: Rig) -> None:
    await rig.page(SessionId="s", UserId="u", AppId=LATER)
    await rig.bundle(body=identifying(LISTED), SessionId="s2", UserId="")
    await list_user(rig, LATER)
    await assert_blocked(rig, await rig.bundle(SessionId="s", UserId="u"))
    written = rig.proxy.log_text() + json.dumps(rig.proxy.audit_lines()) + (await rig.admin("/api/decisions"))[1]
    written += (await rig.admin("/metrics"))[1]
    assert LISTED not in written
    assert LATER not in written


async def test_a_restart_forgets_no_uid_and_keeps_none_in_clear(upstream: RecordingUpstream, tmp_path: Path) -> None:
    state = tmp_path / "fsproxy.sqlite"
    config = {"upstream": {"url": upstream.url}, "state": {"persist": {"path": str(state), "every": "100ms"}}}
    listed = {**config, "filters": {"deleting_user": {"block": [LATER]}}}
    target = "/rec/bundle/v2?OrgId=o-1&SessionId=s&PageId=p&Seq=1"
    async with aiohttp.ClientSession() as http:
        async with running_proxy(config) as proxy, http.post(proxy.url + target, data=identifying(LATER)) as answer:
            assert answer.status == 200
        kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
        assert LATER.encode() not in kept
        async with running_proxy(listed) as proxy, http.post(proxy.url + target, data=identifying("")) as answer:
            assert (answer.status, (await answer.json(content_type=None))["reason_code"]) == (202, CODE)
