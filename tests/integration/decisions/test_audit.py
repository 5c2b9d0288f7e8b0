"""The audit line of a running proxy: its names, what it must not say, and where it goes (rules.md 6)."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import fsproxy
from support.proxy import POLL, ProxyDiedError
from support.rig import AGENT, BUNDLE, Rig, page, running_rig
from support.upstream import status

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILTERS: dict[str, Any] = {
    "ip": {"block": ["203.0.113.0/24"]},
    "geo": {"never": ["AQ"]},
    "opt_out": {"gpc": True},
    "deleting_user": {"block": ["uid-deleted", "user-deleted"]},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    listed = {"o-SHADOW-na1": {"filters": {name: {"mode": "shadow"} for name in FILTERS}}}
    config = {"audit": {"client_ip": "full"}, "orgs": {"listed": listed}, "filters": FILTERS}
    async with running_rig(config) as running:
        yield running


async def test_a_captured_page_has_every_name_and_no_other(rig: Rig) -> None:
    body = json.dumps(page(UserId="user-1", SessionId="session-1", PageId="page-1")).encode()
    answer = await rig.send("/rec/page?x=1", body, {"CF-IPCountry": "US"})
    line = await rig.line(answer)
    numbers = {name: line.pop(name) for name in list(line) if name.endswith("duration")}
    assert set(numbers) == {"event.duration", "fsproxy.upstream.duration", "fsproxy.own.duration"}
    assert all(type(each) is int and each > 0 for each in numbers.values())
    assert numbers["fsproxy.own.duration"] + numbers["fsproxy.upstream.duration"] == numbers["event.duration"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("@timestamp"))
    told = line.pop("fsproxy.facts")
    sent = json.loads(body)
    assert line.pop("fsproxy.url.length") == len(sent["Url"])
    assert {name: told.get(name) for name in ("session", "scheme", "origin", "compiled", "version", "snippet")} == {
        "session": "new",
        "scheme": "https",
        "origin": "app.example.com",
        "compiled": sent["CompiledTimestamp"],
        "version": sent["CompiledVersion"],
        "snippet": sent["SnippetVersion"],
    }
    assert "coupon" not in json.dumps(told)
    assert line == {
        "ecs.version": "8.11.0",
        "fsproxy.audit.version": 1,
        "event.kind": "event",
        "event.category": ["network", "web"],
        "event.type": ["access", "allowed"],
        "event.dataset": "fsproxy.audit",
        "service.name": "fsproxy",
        "service.version": fsproxy.__version__,
        "event.action": "page",
        "event.outcome": "success",
        "fsproxy.decision": "captured",
        "organization.id": "o-TEST-na1",
        "fsproxy.session_id": "session-1",
        "fsproxy.page_id": "page-1",
        "fsproxy.user_id": "user-1",
        "user.id": "user-1",
        "client.ip": "198.51.100.77",
        "client.geo.country_iso_code": "US",
        "user_agent.original": AGENT,
        "url.domain": "app.example.com",
        "url.path": "/rec/page",
        "http.request.method": "POST",
        "http.request.id": answer.request_id,
        "http.request.body.bytes": len(body),
        "http.response.status_code": 200,
        "http.response.body.bytes": len(answer.body),
        "fsproxy.upstream.status_code": 200,
        "fsproxy.generation": 1,
        "fsproxy.mode": "enforce",
    }


async def test_a_blocked_page_says_why_and_has_no_upstream(rig: Rig) -> None:
    answer = await rig.page({"X-Forwarded-For": "203.0.113.9"})
    line = await rig.line(answer)
    assert {name: line[name] for name in ("rule.id", "fsproxy.filter", "fsproxy.reason_code", "event.reason")} == {
        "rule.id": "ip:block:203.0.113.0/24",
        "fsproxy.filter": "ip",
        "fsproxy.reason_code": 5,
        "event.reason": "IP Filter",
    }
    assert line["http.response.body.bytes"] == len(answer.body)
    assert not [name for name in line if "upstream" in name]


@pytest.mark.parametrize(
    ("path", "action"),
    [("/rec/bundle", "bundle"), ("/rec/bundle/v2", "bundle"), ("/rec/event", "event")],
)
async def test_an_upload_has_the_same_names(rig: Rig, path: str, action: str) -> None:
    answer = await rig.bundle(path=path)
    line = await rig.line(answer)
    assert (line["event.action"], line["fsproxy.decision"], line["url.path"]) == (action, "forwarded", path)
    ids = ("organization.id", "fsproxy.session_id", "fsproxy.page_id", "fsproxy.user_id")
    assert [line[name] for name in ids] == ["o-TEST-na1", "s-1", "p-1", "u-1"]
    assert line["http.request.body.bytes"] == len(BUNDLE)


@pytest.mark.parametrize(
    ("method", "target", "action"),
    [
        ("POST", "/client/event?OrgId=o-1", "direct_event"),
        ("POST", "/client/identify?OrgId=o-1", "direct_identify"),
        ("POST", "/client/setUserVars?OrgId=o-1", "direct_set_user_vars"),
        ("POST", "/users/v1/individual/uid-42/customvars", "server_api"),
    ],
)
async def test_calls_have_their_line_too_and_a_uid_in_a_path_is_not_in_it(
    rig: Rig, method: str, target: str, action: str
) -> None:
    answer = await rig.send(target, b'{"uid":"uid-42","name":"Bought"}', method=method)
    line = await rig.line(answer)
    assert line["event.action"] == action
    assert "uid-42" not in json.dumps(line)


async def test_what_only_passes_through_has_no_line_by_default(rig: Rig) -> None:
    passed = await rig.send("/rec/integrations", b"", method="GET")
    assert passed.status == 200
    await rig.line(await rig.page())
    assert rig.lines(passed.request_id) == []


async def test_a_failed_exchange_says_what_went_wrong(rig: Rig) -> None:
    rig.upstream.on("POST", "/rec/event", status(500, b"broken"))
    passed = await rig.bundle(path="/rec/event")
    line = await rig.line(passed)
    assert (line["fsproxy.upstream.status_code"], line["http.response.status_code"]) == (500, 500)
    assert line["fsproxy.decision"] == "forwarded"


UNNAMED: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "opted out": ({"Cookie": "fs_optout=1"}, {}),
    "opted out by GPC": ({"Sec-GPC": "1"}, {}),
    "being deleted, by uid": ({}, {"AppId": "uid-deleted"}),
    "being deleted, by user id": ({}, {"UserId": "user-deleted"}),
    "opted out, but blocked by an earlier rule": ({"Cookie": "fs_optout=1", "X-Forwarded-For": "203.0.113.9"}, {}),
    "being deleted, but blocked by an earlier rule": ({"CF-IPCountry": "AQ"}, {"AppId": "uid-deleted"}),
    "opted out, in shadow": ({"Cookie": "fs_optout=1"}, {"OrgId": "o-SHADOW-na1"}),
    "being deleted, in shadow": ({}, {"UserId": "user-deleted", "OrgId": "o-SHADOW-na1"}),
}


def _names_nobody(line: dict[str, Any], *ids: str) -> None:
    assert not {"client.ip", "client.address", "fsproxy.user_id", "fsproxy.session_id"} & set(line)
    text = json.dumps(line)
    assert not [each for each in ("198.51.100", "203.0.113.9", *ids) if each in text]


@pytest.mark.parametrize("name", UNNAMED)
async def test_the_line_of_one_who_opted_out_or_is_being_deleted_names_nobody(rig: Rig, name: str) -> None:
    headers, fields = UNNAMED[name]
    answer = await rig.page(headers, **{"UserId": "user-secret", **fields})
    line = await rig.line(answer)
    _names_nobody(line, "user-secret", "user-deleted", "uid-deleted")
    assert line["organization.id"]


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Cookie": "fs_optout=1"}, {"UserId": "user-secret"}),
        ({}, {"UserId": "user-deleted"}),
        ({"X-Forwarded-For": "203.0.113.9", "Sec-GPC": "1"}, {"UserId": "user-secret"}),
        ({}, {"UserId": "user-deleted", "OrgId": "o-SHADOW-na1"}),
    ],
)
async def test_their_bundles_lines_name_nobody_either(rig: Rig, headers: dict[str, str], query: dict[str, str]) -> None:
    _names_nobody(await rig.line(await rig.bundle(headers, **query)), query["UserId"])


async def test_their_unreadable_pages_lines_name_nobody_either(rig: Rig) -> None:
    answer = await rig.send("/rec/page", b"not a page", {"Cookie": "fs_optout=1"})
    assert answer.status == 400
    _names_nobody(await rig.line(answer))


@pytest.mark.parametrize(
    ("mode", "v4", "v6"),
    [
        ("truncated", ("client.ip", "198.51.100.0"), ("client.ip", "2001:db8:1::")),
        ("none", None, None),
        ("hashed", ("client.address", "[0-9a-f]{16}"), ("client.address", "[0-9a-f]{16}")),
    ],
)
async def test_addresses_are_written_as_configured(
    mode: str, v4: tuple[str, str] | None, v6: tuple[str, str] | None
) -> None:
    key = {"key": "${AUDIT_KEY}"} if mode == "hashed" else {}
    config = {"audit": {"client_ip": mode, **key}, "filters": {"ip": {"block": ["203.0.113.9"]}}}
    async with running_rig(config, {"AUDIT_KEY": "planted-key"}) as rig:
        seen = []
        for address, expected in (("198.51.100.77", v4), ("2001:db8:1:2::3", v6), ("198.51.100.77", v4)):
            line = await rig.line(await rig.page({"X-Forwarded-For": address}))
            written = {name: line[name] for name in ("client.ip", "client.address") if name in line}
            assert set(written) == ({expected[0]} if expected else set())
            assert not expected or re.fullmatch(expected[1], written[expected[0]])
            seen.append(written)
        assert seen[0] == seen[2]
        assert mode == "none" or seen[0] != seen[1]
        blocked = await rig.line(await rig.page({"X-Forwarded-For": "203.0.113.9"}))
        assert blocked["rule.id"].startswith("ip:block:")
        written = rig.proxy.log_text() + json.dumps(rig.proxy.audit_lines())
        assert "planted-key" not in written
        for path in ("/api/decisions", "/metrics"):
            written += (await rig.admin(path))[1]
        assert "203.0.113.9" not in written
        assert f'"id": "{blocked["http.request.id"]}"' in written or blocked["http.request.id"] in written


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("name", ["traceparent", "TraceParent"])
async def test_a_request_is_found_by_its_trace_whose_header_goes_on_untouched(rig: Rig, name: str) -> None:
    value = f"00-{TRACE}-{SPAN}-01"
    line = await rig.line(await rig.page({name: value, "tracestate": "a=b"}))
    assert (line["trace.id"], line["span.id"]) == (TRACE, SPAN)
    sent = [each for each in rig.upstream.received[-1].headers if each[0].lower().startswith(b"trace")]
    assert sent == [(name.encode(), value.encode()), (b"tracestate", b"a=b")]


async def test_a_trace_that_is_not_valid_is_ignored_and_goes_on_as_well(rig: Rig) -> None:
    value = f"00-{TRACE}-{'0' * 16}-01"
    line = await rig.line(await rig.page({"traceparent": value}))
    assert not {"trace.id", "span.id"} & set(line)
    assert rig.upstream.received[-1].value("traceparent") == value


async def test_an_opted_out_visitor_is_not_found_by_a_trace(rig: Rig) -> None:
    line = await rig.line(await rig.page({"traceparent": f"00-{TRACE}-{SPAN}-01", "Sec-GPC": "1"}))
    assert line["fsproxy.reason_code"] == 10
    assert not {"trace.id", "span.id", "user.id"} & set(line)


SECRET = "planted"


async def test_nothing_that_was_planted_is_logged_counted_or_echoed() -> None:
    """In cookies, credentials, queries, bodies, uids and paths, whatever becomes of the request."""
    filters = {"deleting_user": {"block": [f"{SECRET}-deleted"]}, "blocked_user": {"block": [f"{SECRET}-blocked"]}}
    headers = {
        "Cookie": f"session={SECRET}-cookie; fs_uid=#o#{SECRET}-cookie-user:s:1",
        "Authorization": f"Basic {SECRET}-credentials",
        "Referer": f"https://app.example.com/?{SECRET}-referer",
    }
    url = f"https://app.example.com/{SECRET}-path?{SECRET}-query#{SECRET}-fragment"
    call = json.dumps({"name": "Bought", "properties": {"total_int": f"{SECRET}-value"}}).encode()
    async with running_rig({"log": {"level": "debug"}, "filters": filters, "upstream": {"page_retry": "1ms"}}) as rig:
        answers = [
            await rig.page(headers, Url=url),
            await rig.page({**headers, "Cookie": f"fs_optout=1; a={SECRET}"}, Url=url),
            await rig.page(headers, Url=url, AppId=f"{SECRET}-deleted"),
            await rig.page(headers, Url=url, UserId=f"{SECRET}-deleted"),
            await rig.page(headers, Url=url, AppId=f"{SECRET}-blocked"),
            await rig.page(headers, Url=f"nonsense {SECRET}"),
            await rig.page(headers, OrgId=[SECRET]),
            await rig.page(headers, SessionKeyHash=SECRET * 1000),
            await rig.send(f"/rec/page?{SECRET}", f"not a page {SECRET}".encode(), headers),
            await rig.bundle(headers, body=f'{{"Seq":1,"When":0,"Evts":["{SECRET}"]}}'.encode(), Extra=SECRET),
            await rig.bundle(headers, body=f"broken {SECRET}".encode(), ContentEncoding="gzip"),
            await rig.bundle(headers, UserId=f"{SECRET}-deleted"),
            await rig.send(f"/client/event?OrgId=o-1&{SECRET}=1", call, headers),
            await rig.send(f"/users/v1/individual/{SECRET}-uid/customvars", b'{"a_str":"planted-value"}', headers),
            await rig.send("/v2/events", call, headers),
        ]
        await rig.upstream.refuse()
        answers += [await rig.page(headers, Url=url), await rig.bundle(headers), await rig.send("/v2/events", call)]
        for answer in answers:
            await rig.line(answer)
        assert {answer.status for answer in answers} >= {200, 202, 400, 502}
        own = [answer for answer in answers if answer.status != 200]
        assert SECRET not in "".join(answer.body.decode() + str(answer.headers) for answer in own)
        readiness, metrics = (await rig.admin("/readyz"))[1], (await rig.admin("/metrics"))[1]
        assert SECRET not in readiness + metrics
        await rig.proxy.stop()
        assert SECRET not in (rig.proxy.folder / "stdout").read_text()
        assert SECRET not in rig.proxy.log_text()


async def _lines(path: Path, wanted: Callable[[list[str]], bool]) -> list[str]:
    """The lines of a file, once they are as wanted."""
    async with asyncio.timeout(120):
        while True:
            lines = path.read_text().splitlines() if path.exists() else []
            if wanted(lines):
                return lines
            await asyncio.sleep(POLL)


async def test_a_file_is_written_to_and_opened_again_on_sighup(tmp_path: Path) -> None:
    current, moved = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    async with running_rig({"audit": {"to": str(current)}}) as rig:
        first = await rig.page()
        await _lines(current, lambda lines: len(lines) == 1)
        current.rename(moved)
        second = await rig.page()
        await _lines(moved, lambda lines: len(lines) == 2)
        assert not current.exists()
        rig.proxy.signal(signal.SIGHUP)
        third = await _reopened(rig, current)
        after = [json.loads(line)["http.request.id"] for line in current.read_text().splitlines()]
        before = [json.loads(line)["http.request.id"] for line in moved.read_text().splitlines()]
        assert before[:2] == [first.request_id, second.request_id]
        assert after[-1] == third
        assert (rig.proxy.folder / "stdout").read_text() == ""
        assert current.stat().st_mode & 0o777 == 0o640


async def test_an_audit_path_that_is_a_link_ends_the_start_with_what_to_write_instead(tmp_path: Path) -> None:
    (tmp_path / "audit.log").symlink_to("elsewhere")
    with pytest.raises(ProxyDiedError, match=r"audit\.to: .*is a symbolic link, which is not followed"):
        async with running_rig({"audit": {"to": str(tmp_path / "audit.log")}}):
            pytest.fail("it started")
    assert not (tmp_path / "elsewhere").exists()


async def _reopened(rig: Rig, path: Path) -> str:
    """Sends pages until one of their lines stands in the new file; the last one's id."""
    async with asyncio.timeout(120):
        while True:
            answer = await rig.page()
            await asyncio.sleep(POLL)
            if path.exists() and answer.request_id in path.read_text():
                return answer.request_id


async def test_every_line_is_out_when_the_proxy_has_stopped() -> None:
    """Lines gather for a moment before they are written; SIGTERM does not lose them."""
    async with running_rig() as rig:
        answers = await asyncio.gather(*(rig.page() for _ in range(50)))
        await rig.proxy.stop()
        assert sorted(line["http.request.id"] for line in rig.proxy.audit_lines()) == sorted(
            answer.request_id for answer in answers
        )


async def test_of_what_is_not_remarkable_only_the_share_has_a_line() -> None:
    share = {"page": "0%", "bundle": "50%", "direct": "0%", "other": "100%"}
    filters = {"ip": {"block": ["203.0.113.0/24"]}, "user_agent": {"block": ["Bot"], "mode": "shadow"}}
    async with running_rig({"audit": {"share": share}, "filters": filters}) as rig:
        captured = await rig.page()
        blocked = await rig.page({"X-Forwarded-For": "203.0.113.9"})
        shadowed = await rig.page({"User-Agent": "Bot"})
        unreadable = await rig.send("/rec/page", b"")
        other = await rig.send("/rec/integrations", b"", method="GET")
        bundles = [await rig.bundle(Seq=str(number)) for number in range(100)]
        await rig.proxy.stop()
        ids = {line["http.request.id"] for line in rig.proxy.audit_lines()}
    assert captured.request_id not in ids
    assert {each.request_id for each in (blocked, shadowed, unreadable, other)} <= ids
    # By a hash of the id: the same on every run of this module alone; a fair coin's bounds otherwise.
    assert 20 <= len(ids & {each.request_id for each in bundles}) <= 80
