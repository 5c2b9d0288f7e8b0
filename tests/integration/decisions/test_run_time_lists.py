"""Lists that an operator changes at run time: in force at once, kept, ending by themselves, and nobody named (rules.md 10)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fsproxy.core.uid_digest import uid_digest
from support.proxy import POLL
from support.rig import JSON, Answer, Rig, running_rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMING = {"client.ip", "client.address", "fsproxy.session_id", "fsproxy.user_id", "fsproxy.fresh_user_id"}
_numbers = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    state = tmp_path_factory.mktemp("state") / "fsproxy.sqlite"
    config = {
        "filters": {"ip": {"allow": ["203.0.113.200"]}, "blocked_user": {"reason_code": 7}},
        "orgs": {"listed": {"o-OFF-na1": {"filters": {"deleting_user": {"mode": "off"}}}}},
        "audit": {"client_ip": "full"},
        "state": {"persist": {"path": str(state), "every": "100ms"}},
    }
    async with running_rig(config) as running:
        yield running


@pytest.fixture
def uid() -> str:
    """A user of whom no other test speaks."""
    return f"user-{next(_numbers)}@example.com"


async def change(rig: Rig, name: str, **wish: Any) -> dict[str, Any]:
    status, text = await rig.admin(f"/api/lists/{name}", "POST", json.dumps(wish).encode(), **JSON)
    assert status == 200, text
    found: dict[str, Any] = json.loads(text)
    return found


async def listed(rig: Rig, name: str) -> dict[str, float]:
    status, text = await rig.admin(f"/api/lists/{name}")
    assert status == 200
    return {each["entry"]: each["ends"] for each in json.loads(text)["entries"]}


def digest(uid: str) -> str:
    return f"{uid_digest(uid):015x}"


async def assert_blocked(rig: Rig, answer: Answer, code: int, rule: str) -> dict[str, Any]:
    assert (answer.status, answer.json()["reason_code"]) == (202, code)
    assert rig.forwarded(answer) == []
    line = await rig.line(answer)
    assert (line["fsproxy.reason_code"], line["rule.id"]) == (code, rule)
    return line


@pytest.mark.parametrize("told_by", ["page", "identify"])
async def test_a_session_under_way_is_stopped_at_once_when_its_user_is_listed(rig: Rig, uid: str, told_by: str) -> None:
    session = {"SessionId": uid, "UserId": "", "PageId": f"page-{uid}"}
    if told_by == "page":
        assert (await rig.page(**session, AppId=uid)).status == 200
    else:
        event = {"Kind": 8193, "Args": ["user", json.dumps({"uid": uid})], "When": 5}
        body = json.dumps({"Seq": 1, "When": 0, "Evts": [event]}).encode()
        assert (await rig.bundle(body=body, **session)).status == 200
    answer = await change(rig, "deleting_user", add=[uid], **{"for": "30d"})
    assert (answer["added"], answer["removed"], answer["not_kept"]) == (1, 0, None)
    for path in ("/rec/bundle", "/rec/bundle/v2", "/rec/event"):
        line = await assert_blocked(rig, await rig.bundle(path=path, **session), 12, "deleting_user:run-time")
        assert not NAMING.intersection(line)
    await assert_blocked(rig, await rig.page(AppId=uid), 12, "deleting_user:run-time")
    assert (await rig.page(AppId="somebody else")).status == 200
    assert (await rig.page(AppId=uid, OrgId="o-OFF-na1")).status == 200
    answer = await change(rig, "deleting_user", remove=[uid])
    assert (answer["added"], answer["removed"]) == (0, 1)
    assert (await rig.bundle(**session)).status == 200
    assert digest(uid) not in await listed(rig, "deleting_user")


async def test_the_upload_that_names_a_listed_user_is_stopped(rig: Rig, uid: str) -> None:
    await change(rig, "deleting_user", add=[uid], **{"for": "1h"})
    target = rig.target("/client/identify", SessionId=uid, UserId="")
    await assert_blocked(rig, await rig.send(target, json.dumps({"uid": uid}).encode()), 12, "deleting_user:run-time")
    await assert_blocked(rig, await rig.bundle(SessionId=uid, UserId=""), 12, "deleting_user:run-time")


async def test_a_blocked_user_gets_the_code_of_the_configuration(rig: Rig, uid: str) -> None:
    await change(rig, "blocked_user", add=[uid], **{"for": "1h"})
    await assert_blocked(rig, await rig.page(AppId=uid), 7, "blocked_user:run-time")
    assert (await rig.page(AppId="somebody else")).status == 200


async def test_addresses_and_networks_are_blocked_and_what_is_allowed_is_not(rig: Rig) -> None:
    await change(rig, "ip", add=["192.0.2.7", "203.0.113.0/24", "2001:db8::/32"], **{"for": "1d"})
    for address in ("192.0.2.7", "203.0.113.9", "2001:db8:1::5", "::ffff:192.0.2.7"):
        await assert_blocked(rig, await rig.page({"X-Forwarded-For": address}), 5, "ip:run-time")
        await assert_blocked(rig, await rig.bundle({"X-Forwarded-For": address}), 5, "ip:run-time")
    for address in ("192.0.2.8", "203.0.113.200", "2001:db9::1"):
        assert (await rig.page({"X-Forwarded-For": address})).status == 200
    assert {"192.0.2.7", "203.0.113.0/24", "2001:db8::/32"} <= (await listed(rig, "ip")).keys()
    await change(rig, "ip", remove=["192.0.2.7/32", "203.0.113.*", "2001:db8::/32"])
    assert (await rig.page({"X-Forwarded-For": "203.0.113.9"})).status == 200


async def test_an_entry_ends_by_itself(rig: Rig) -> None:
    await change(rig, "ip", add=["198.18.0.1"], **{"for": "1s"})
    async with asyncio.timeout(60):
        while (await rig.page({"X-Forwarded-For": "198.18.0.1"})).status != 200:
            await asyncio.sleep(POLL)
        while (await rig.admin("/api/lists/ip"))[1].find("198.18.0.1") >= 0:
            await asyncio.sleep(POLL)


@pytest.mark.parametrize(
    ("name", "body", "status", "told"),
    [
        ("geo", '{"add": ["DE"]}', 404, "there is no such list: blocked_user, deleting_user, ip"),
        ("ip", '{"add": ["10.0.0.1", "nonsense"], "for": "1d"}', 400, "add[1]: allowed is an IP address, or a network"),
        ("ip", '{"remove": ["10.*.0.1"]}', 400, "remove[0]: allowed is an IP address, or a network"),
        ("ip", '{"add": ["10.0.0.1"]}', 400, "for: a duration from 1s to 366d"),
        ("ip", '{"add": ["10.0.0.1"], "for": "367d"}', 400, "for: a duration from 1s to 366d"),
        ("deleting_user", '{"add": [""], "for": "1d"}', 400, "add[0]: allowed is a uid, of 1 to 256 characters"),
        ("deleting_user", '{"add": ["u"], "remove": ["u"], "for": "1d"}', 400, "add[0]: is also in remove"),
        ("deleting_user", "{}", 400, "nothing is to be changed"),
        ("deleting_user", '{"add": [7], "for": "1d"}', 400, "Expected `str`, got `int`"),
        ("deleting_user", json.dumps({"add": ["u"] * 1_001, "for": "1d"}), 400, "Expected `array` of length <= 1000"),
    ],
)
async def test_what_cannot_be_done_is_told_without_the_entry(
    rig: Rig, name: str, body: str, status: int, told: str
) -> None:
    found, text = await rig.admin(f"/api/lists/{name}", "POST", body.encode(), **JSON)
    assert (found, told in text) == (status, True), text
    assert "nonsense" not in text


async def test_what_is_posted_must_be_json_as_for_all_that_changes_something(rig: Rig) -> None:
    assert (await rig.admin("/api/lists/ip", "POST", b'{"add": ["10.0.0.1"], "for": "1d"}'))[0] == 400


async def test_explain_why_and_the_configuration_know_of_it(rig: Rig, uid: str) -> None:
    await change(rig, "deleting_user", add=[uid], **{"for": "1h"})
    question = json.dumps({"url": "https://a.example/", "app_id": uid}).encode()
    explained = json.loads((await rig.admin("/api/explain", "POST", question, **JSON))[1])
    assert (explained["reason_code"], explained["rule"]) == (12, {"id": "deleting_user:run-time", "where": ""})
    assert "at run time" in explained["means"]
    answer = await rig.page(AppId=uid)
    line = await rig.line(answer)
    told = json.loads((await rig.admin(f"/api/decisions?q={answer.request_id}"))[1])["decisions"][0]
    assert told["line"] == line
    story = dict(told["story"])
    assert story["place"].startswith("No line of the file: an entry of the list deleting_user at run time")
    assert story["today"].startswith("It cannot be known: deleting_user:")
    lists = {each["name"]: each for each in json.loads((await rig.admin("/api/config"))[1])["lists"]}
    found = lists["deleting_user"]
    assert (found["mode"], found["not_kept"], found["count"] > 0) == ("enforce", None, True)
    assert await rig.counted("fsproxy_run_time_list_entries", list="deleting_user") == found["count"]


async def test_a_reload_and_another_mode_keep_the_lists_and_a_mode_caps_them(rig: Rig, uid: str) -> None:
    await change(rig, "blocked_user", add=[uid], **{"for": "1h"})
    assert (await rig.admin("/reload", "POST", b"{}", **JSON))[0] == 200
    await assert_blocked(rig, await rig.page(AppId=uid), 7, "blocked_user:run-time")
    await rig.set_mode("shadow")
    answer = await rig.page(AppId=uid)
    assert answer.status == 200
    assert [each["rule.id"] for each in (await rig.line(answer))["fsproxy.shadow"]] == ["blocked_user:run-time"]
    await rig.set_mode("enforce")
    await assert_blocked(rig, await rig.page(AppId=uid), 7, "blocked_user:run-time")


async def test_who_is_being_deleted_stays_stopped_under_shadow_and_bypass(rig: Rig, uid: str) -> None:
    session = {"SessionId": uid, "UserId": "", "PageId": f"page-{uid}"}
    assert (await rig.page(**session, AppId=f"later-{uid}")).status == 200
    await change(rig, "deleting_user", add=[uid], **{"for": "1h"})
    for mode in ("shadow", "bypass"):
        await rig.set_mode(mode)
        await assert_blocked(rig, await rig.page(AppId=uid), 12, "deleting_user:run-time")
    await change(rig, "deleting_user", add=[f"later-{uid}"], **{"for": "1h"})
    await assert_blocked(rig, await rig.bundle(**session), 12, "deleting_user:run-time")
    await change(rig, "deleting_user", remove=[uid, f"later-{uid}"])
    assert (await rig.bundle(**session)).status == 200
    await rig.set_mode("enforce")


async def test_a_restart_and_a_take_over_keep_what_was_added_and_what_was_removed(rig: Rig, uid: str) -> None:
    other = f"other-{uid}"
    await change(rig, "deleting_user", add=[uid, other], **{"for": "30d"})
    ends = (await listed(rig, "deleting_user"))[digest(uid)]
    await change(rig, "deleting_user", remove=[other])
    await rig.proxy.kill()
    await rig.proxy.start_again()
    found = await listed(rig, "deleting_user")
    assert (found[digest(uid)], digest(other) in found) == (ends, False)
    await change(rig, "deleting_user", add=[other], **{"for": "30d"})
    await rig.proxy.start_again("--take-over")
    found = await listed(rig, "deleting_user")
    assert (found[digest(uid)], digest(other) in found) == (ends, True)
    for each in (uid, other):
        await assert_blocked(rig, await rig.page(AppId=each), 12, "deleting_user:run-time")


async def test_no_uid_is_written_anywhere(rig: Rig, uid: str) -> None:
    await change(rig, "deleting_user", add=[uid], **{"for": "30d"})
    await change(rig, "blocked_user", add=[uid], **{"for": "30d"})
    await assert_blocked(rig, await rig.page(AppId=uid), 12, "deleting_user:run-time")
    written = rig.proxy.log_text() + json.dumps(rig.proxy.audit_lines())
    for path in ("/api/decisions", "/api/config", "/api/lists/deleting_user", "/api/lists/blocked_user", "/metrics"):
        written += (await rig.admin(path))[1]
    assert uid not in written
    config = json.loads((await rig.admin("/api/config"))[1])["config"]
    folder = Path(config["state"]["persist"]["path"]).parent
    assert uid.encode() not in b"".join(each.read_bytes() for each in folder.iterdir())
