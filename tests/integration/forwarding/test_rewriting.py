"""What goes up under another path, to another host, or with another origin (rules.md 4)."""

from __future__ import annotations

import json
import re
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from fsproxy.http.server import SWITCH
from support.in_process import in_process
from support.raw_http import raw_client
from support.upstream import Received, RecordingUpstream, status

ORIGIN = "https://shop.example"


RULES = {"filters": {"domain": {"rules": [{"block": "bad.example"}]}}}


def anything() -> RecordingUpstream:
    return RecordingUpstream(answer=status(200), allow_unexpected=True)


@pytest.fixture(params=["fast lane", "general lane"])
def _lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "general lane":
        monkeypatch.setenv(SWITCH, "off")


def post(target: str, body: bytes = b"{}") -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: a\r\nOrigin: {ORIGIN}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.usefixtures("_lane")
async def test_the_first_rule_that_matches_rewrites_before_prefixes_are_looked_at() -> None:
    async with anything() as main, anything() as static, anything() as other:
        config: dict[str, Any] = {
            "url": f"{main.url}/base",
            "prefixes": {"/s/": static.url},
            "rewrite": [
                {"path": "regex:^/elsewhere/([^/]+)/", "to": rf"{other.url}/api/\1/"},
                {"path": "regex:^/relay/(.*)", "to": r"/\1"},
                {"path": "/relay/", "to": "/never/"},
            ],
        }
        async with in_process({"upstream": config}) as proxy, raw_client(proxy.port) as client:
            for target in ("/relay/s/a?b=%zz", "/relay/x/%2F?", "/elsewhere/v1/a/elsewhere/v2/", "/plain?a=/relay/"):
                assert (await client.ask(post(target))).status == 200
        assert [one.target for one in static.received] == ["/s/a?b=%zz"]
        assert [one.target for one in main.received] == ["/base/x/%2F?", "/base/plain?a=/relay/"]
        assert [one.target for one in other.received] == ["/api/v1/a/elsewhere/v2/"]
        assert other.only().value("Host") == f"127.0.0.1:{other.port}"


@pytest.mark.usefixtures("_lane")
async def test_routes_are_found_by_the_path_as_it_came_and_else_as_it_goes_up() -> None:
    """Named here or only there: nothing reaches a capture route unseen, however its path is spelled."""
    async with anything() as upstream:
        rewrite = [{"path": "/own/page", "to": "/rec/page"}, {"path": "regex:^/(relay|[a-z]+-relay)/", "to": "/"}]
        rules = {
            **RULES,
            "routes": {"page": ["/rec/page", "/own/page"]},
            "upstream": {"url": upstream.url, "rewrite": rewrite},
        }
        paths = ["/own/page", "/relay/rec/page", "/new-relay/rec/page", "/relay/rec/%70age", "/relay//REC/page/"]
        async with in_process(rules) as proxy, raw_client(proxy.port) as client:
            for path in paths:
                for host, code in (("bad.example", 202), ("good.example", 200)):
                    page = json.dumps({"OrgId": "o-1", "Url": f"https://{host}/", "PageId": host + path}).encode()
                    assert (path, (await client.ask(post(path, page))).status) == (path, code)
            call = b'{"event": {"name": "", "properties": {}}}'
            assert (await client.ask(post("/relay/client/event", b"{"))).status == 400
            assert (await client.ask(post("/relay/v2/events", call))).status == 400
        assert [one.target for one in upstream.received] == [
            "/rec/page", "/rec/page", "/rec/page", "/rec/%70age", "//REC/page/",
        ]  # fmt: skip


@pytest.mark.parametrize("mode", ["judge", "tunnel"])
async def test_sockets_are_rewritten_and_have_their_origin_replaced(mode: str) -> None:
    async with RecordingUpstream() as upstream:
        config = {"url": upstream.url, "rewrite": [{"path": "/relay/", "to": "/"}], "origin": "https://own.example"}
        async with in_process({**RULES, "upstream": config, "socket": mode}) as proxy:
            async with aiohttp.ClientSession() as session:
                async with session.ws_connect(f"{proxy.url}/relay/rec/sock?OrgId=o-1", origin=ORIGIN) as socket:
                    await socket.send_str("t")
                    assert await socket.receive_str(timeout=120) == "t"
            await proxy.idle()
        head = upstream.only()
        assert (head.target, head.values("Origin")) == ("/rec/sock?OrgId=o-1", ["https://own.example"])


@pytest.mark.usefixtures("_lane")
async def test_the_origin_goes_up_as_configured_and_the_browser_gets_its_own_back() -> None:
    async def allowing(request: web.BaseRequest, received: Received) -> web.StreamResponse:
        allowed = {"Access-Control-Allow-Origin": received.value("Origin") or "", "X-Origin": "https://own.example"}
        return web.Response(status=200, body=b"{}", headers=allowed)

    upstream = RecordingUpstream(answer=allowing, allow_unexpected=True)
    async with upstream:
        config = {"url": upstream.url, "origin": "https://own.example"}
        async with in_process({**RULES, "upstream": config}) as proxy, raw_client(proxy.port) as client:
            answer = await client.ask(post("/rec/page", b'{"OrgId": "o-1", "Url": "https://good.example/"}'))
            assert (answer.status, answer.value("Access-Control-Allow-Origin")) == (200, ORIGIN.encode())
            assert answer.value("X-Origin") == b"https://own.example"
            await client.ask(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
        page, other = upstream.received
        assert (page.values("Origin"), other.values("Origin")) == (["https://own.example"], [])


async def test_filters_and_answers_of_ours_know_the_clients_own_origin() -> None:
    async with anything() as upstream:
        config = {"url": upstream.url, "origin": "https://own.example"}
        rules = {**RULES, "upstream": config, "filters": {"url": {"match_origin": True}}}
        async with in_process(rules) as proxy, raw_client(proxy.port) as client:
            body = b'{"OrgId": "o-1", "Url": "https://own.example/"}'
            answer = await client.ask(post("/rec/page", body))
            assert (answer.status, answer.value("Access-Control-Allow-Origin")) == (202, ORIGIN.encode())
        assert upstream.received == []


async def test_a_reload_puts_other_rules_into_force() -> None:
    async with anything() as upstream:
        first, second = ([{"path": "/a/", "to": to}] for to in ("/b/", "/c/"))
        async with in_process({"upstream": {"url": upstream.url, "rewrite": first}}) as proxy:
            async with raw_client(proxy.port) as client:
                await client.ask(post("/a/x"))
                proxy.reload({"upstream": {"url": upstream.url, "rewrite": second}})
                await client.ask(post("/a/x"))
        assert [one.target for one in upstream.received] == ["/b/x", "/c/x"]


async def test_a_uid_in_a_path_is_redacted_before_the_path_is_rewritten() -> None:
    async with anything() as upstream:
        config = {
            "upstream": {"url": upstream.url, "rewrite": [{"path": "/relay/", "to": "/"}]},
            "audit": {"key": "k" * 16},
            "redact": {"rules": [{"hash": "regex:.+", "in": ["uid"]}]},
        }
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            for path in ("/users/v1/individual/ann/customvars", "/relay/users/v1/individual/ann/customvars?a=b"):
                assert (await client.ask(post(path))).status == 200
        plain, rewritten = (one.target for one in upstream.received)
        assert rewritten == f"{plain}?a=b"
        assert re.fullmatch(r"/users/v1/individual/[^/]+/customvars", plain)
        assert "ann" not in plain
