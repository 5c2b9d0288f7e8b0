"""Requests that two readers could read in two ways: refused, or judged by both readings (rules.md 4)."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.echoing import Echoing, echoing
from support.in_process import InProcessProxy, in_process
from support.raw_http import RawAnswer, raw_client

ORIGIN = b"https://blocked.example.com"
PAGE = b'{"OrgId":"o-1","Url":"https://blocked.example.com/"}'
BUNDLE = b'{"Seq":1,"When":1,"Evts":[{"Kind":8197,"When":1,"Args":["","{}"]},{"Kind":1,"When":1}]}'
SPELLINGS = [
    b"/rec/%b",
    b"//rec/%b",
    b"/rec//%b",
    b"/rec/%b/",
    b"/REC/%b",
    b"/rec/%b;x",
    b"/rec%%2f%b",
    b"/rec%%252F%b",
    b"/rec\\%b",
    b"/rec%%5c%b",
    b"/rec/.;/%b",
    b"/x/..;a/rec/%b",
    b"/rec/%b%%20",
    b"/rec/%b%%09",
    b"/rec/%b%%00.html",
    b"/rec/%b%%3fx",
    b"/x/%%2e%%2e/rec/%b",
    b"//elsewhere.example/rec/%b",
    b"http://elsewhere.example/rec/%b/",
]
METHODS = [b"POST", b"PUT", b"GET", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS", b"REPORT"]


@pytest.fixture
async def upstream() -> AsyncIterator[Echoing]:
    async with echoing() as running:
        yield running
        assert not running.strange


@pytest.fixture
async def proxy(upstream: Echoing, tmp_path: Path) -> AsyncIterator[InProcessProxy]:
    config = {
        "upstream": {"url": upstream.url},
        "filters": {"domain": {"rules": [{"block": "blocked.example.com"}]}},
        "orgs": {"listed": {"o-off": {"enabled": False}}},
        "audit": {"to": str(tmp_path / "audit.log"), "share": {"other": "100%"}},
    }
    async with in_process(config) as running:
        yield running


async def ask(proxy: InProcessProxy, method: bytes, target: bytes, body: bytes, *lines: bytes) -> RawAnswer:
    more = b"".join(line + b"\r\n" for line in (b"Content-Length: %d" % len(body), *lines))
    async with raw_client(proxy.port) as client:
        head = b"%b %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (method, target, more)
        return await client.ask(head, body, head_only=method == b"HEAD")


def audit(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_blocked_page_is_blocked_in_any_spelling_of_its_path(
    upstream: Echoing, proxy: InProcessProxy, spelling: bytes
) -> None:
    answer = await ask(proxy, b"POST", spelling % b"page", PAGE, b"Origin: " + ORIGIN)
    assert (answer.status, json.loads(answer.body)["reason_code"]) == (202, 4)
    assert answer.value("Access-Control-Allow-Origin") == ORIGIN
    assert not upstream.requests


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_what_is_allowed_goes_up_with_its_raw_target(
    upstream: Echoing, proxy: InProcessProxy, spelling: bytes
) -> None:
    answer = await ask(proxy, b"POST", spelling % b"page", PAGE.replace(b"blocked", b"other"))
    assert answer.status == 200
    raw = (spelling % b"page").removeprefix(b"http://elsewhere.example")
    assert upstream.requests[0].split(b" ")[1] == raw


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_calls_are_cut_in_any_spelling_of_a_bundles_path(
    upstream: Echoing, proxy: InProcessProxy, spelling: bytes
) -> None:
    assert (await ask(proxy, b"POST", spelling % b"bundle" + b"?OrgId=o-1", BUNDLE)).status == 200
    assert upstream.requests[0].endswith(b'"Evts":[{"Kind":1,"When":1}]}')


@pytest.mark.parametrize("method", METHODS)
async def test_any_method_with_a_body_is_judged(upstream: Echoing, proxy: InProcessProxy, method: bytes) -> None:
    answer = await ask(proxy, method, b"/rec/page", PAGE)
    assert answer.status == 202
    assert (answer.body == b"") == (method == b"HEAD")
    if method != b"POST":
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(PAGE), PAGE)
        async with raw_client(proxy.port) as client:
            head = b"%b /rec/page HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % method
            assert (await client.ask(head, chunks, head_only=method == b"HEAD")).status == 202
        assert not upstream.requests
        assert (await ask(proxy, method, b"/rec/page", b"")).status == 200


async def test_a_post_without_a_body_is_no_page(upstream: Echoing, proxy: InProcessProxy) -> None:
    assert (await ask(proxy, b"POST", b"/rec/page", b"")).status == 400
    assert not upstream.requests


async def test_an_answer_to_head_has_no_body_and_the_connection_goes_on(
    upstream: Echoing, proxy: InProcessProxy
) -> None:
    async with raw_client(proxy.port) as client:
        for _ in range(2):
            head = b"HEAD /rec/page HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(PAGE)
            assert (await client.ask(head, PAGE, head_only=True)).status == 202


FRAGMENTS = [
    (b"POST", b"/rec/page#x", "page"),
    (b"POST", b"/rec/bundle?OrgId=o-1#x", "bundle"),
    (b"POST", b"/rec//event#?OrgId=o-1", "event"),
    (b"POST", b"/v2/users#", "server_api"),
    (b"GET", b"/rec/sock#", "socket"),
    (b"GET", b"/s/fs.js#x", "other"),
    (b"PUT", b"/#/rec/page", "other"),
]


@pytest.mark.parametrize(("method", "target", "route"), FRAGMENTS)
@pytest.mark.parametrize("mode", ["enforce", "bypass"])
async def test_a_target_with_a_fragment_is_400_on_every_route(
    upstream: Echoing, tmp_path: Path, method: bytes, target: bytes, route: str, mode: str
) -> None:
    config = {"upstream": {"url": upstream.url}, "mode": mode, "audit": {"to": str(tmp_path / "audit.log")}}
    async with in_process(config) as proxy:
        answer = await ask(proxy, method, target, b"{}" if method != b"GET" else b"", b"Origin: " + ORIGIN)
        assert answer.status == 400
        assert (answer.value("Access-Control-Allow-Origin") == ORIGIN) == (route != "other")
    assert not upstream.requests
    line = audit(tmp_path)[0]
    assert (line["event.action"], line["fsproxy.error"]) == (route, "bad_request")


async def test_an_upgrade_with_a_fragment_is_400(upstream: Echoing, proxy: InProcessProxy) -> None:
    lines = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Key: a", b"Sec-WebSocket-Version: 13")
    for target in (b"/rec/sock#x", b"/x#x"):
        assert (await ask(proxy, b"GET", target, b"", *lines)).status == 400
    assert not upstream.raw


@pytest.mark.parametrize("path", [b"/rec/event%3f/../page", b"/rec/page%00/../bundle"])
async def test_a_path_that_is_two_routes_is_400(upstream: Echoing, proxy: InProcessProxy, path: bytes) -> None:
    assert (await ask(proxy, b"POST", path, PAGE)).status == 400
    assert not upstream.requests


async def test_the_uid_in_any_spelling_of_a_server_call_is_not_written(
    upstream: Echoing, proxy: InProcessProxy, tmp_path: Path
) -> None:
    paths = [b"/users/v1/individual/ann@x.example/customvars", b"/USERS//v1/individual/ann@x.example/customvars/"]
    paths += [b"/users%2fv1%2findividual%2fann%40x.example%2fcustomvars", b"/users/v1;a/individual/ann%40x/customvars"]
    for path in paths:
        await ask(proxy, b"POST", path, b'{"a_int":1}')
    await proxy.data_plane.close()
    text = (tmp_path / "audit.log").read_text()
    assert text.count("/users/v1/individual/{uid}/customvars") == len(paths)
    assert "ann" not in text


PARAMETERS = b"&".join(b"a%d=1" % number for number in range(64))
UPLOADS = [b"/rec/bundle", b"/rec/bundle/v2", b"/rec/event", b"/client/event", b"/rec//bundle/"]


@pytest.mark.parametrize("path", UPLOADS)
async def test_an_org_is_known_behind_64_other_parameters(
    upstream: Echoing, proxy: InProcessProxy, path: bytes
) -> None:
    answer = await ask(proxy, b"POST", path + b"?" + PARAMETERS + b"&OrgId=o-off", BUNDLE)
    assert (answer.status, json.loads(answer.body)["reason_code"]) == (202, 2)
    assert not upstream.requests


@pytest.mark.parametrize("path", [*UPLOADS, b"/rec/page", b"/v2/events"])
@pytest.mark.parametrize(
    "query",
    [
        b"OrgId=o-off&OrgId=o-1",
        b"OrgId=o-1&OrgId=o-off",
        b"OrgId=o-1&" + PARAMETERS + b"&OrgId=o-off",
        b"OrgId=o-1&orgid=o-off",
        b"orgId=o-off",
        b"OrgId=o-1&Org%49d=",
        b"a=b;OrgId=o-off&OrgId=o-1",
        b"OrgId=o-1&SessionId=a&SessionId=b",
        b"OrgId=o-1&ContentEncoding=gzip&ContentEncoding=",
        b"OrgId=o-1&PageStart=1&PageStart=2",
    ],
)
async def test_a_contradictory_query_is_400_with_cors_and_a_line(
    upstream: Echoing, proxy: InProcessProxy, tmp_path: Path, path: bytes, query: bytes
) -> None:
    answer = await ask(proxy, b"POST", path + b"?" + query, BUNDLE, b"Origin: " + ORIGIN)
    assert answer.status == 400
    assert answer.value("Access-Control-Allow-Origin") == ORIGIN
    assert not upstream.requests
    await proxy.data_plane.close()
    assert audit(tmp_path)[0]["fsproxy.error"] == "bad_request"


async def test_equal_repeats_go_up_raw(upstream: Echoing, proxy: InProcessProxy) -> None:
    target = b"/rec/bundle?OrgId=o-1&OrgId=o%2d1&orgid=o-1&Seq=1&Seq=2&a=1;b=2"
    assert (await ask(proxy, b"POST", target, b'{"Seq":1,"When":1,"Evts":[]}')).status == 200
    assert upstream.requests[0].split(b" ")[1] == target


async def test_prefixes_look_at_the_raw_path(upstream: Echoing) -> None:
    async with echoing() as other:
        config = {"upstream": {"url": upstream.url, "prefixes": {"/Rec//": other.url}}}
        async with in_process(config) as proxy:
            page = PAGE.replace(b"blocked", b"other")
            for target in (b"/rec/page", b"/Rec/page", b"/Rec//page"):
                assert (await ask(proxy, b"POST", target, page)).status == 200
        assert [each.split(b" ")[1] for each in upstream.requests] == [b"/rec/page", b"/Rec/page"]
        assert [each.split(b" ")[1] for each in other.requests] == [b"/Rec//page"]


KEPT = b'{"Seq":1,"When":1,"Evts":[{"Kind":1,"When":1}]}'
ZIPPED = gzip.compress(BUNDLE, mtime=0)
QUERY, HEADER = b"&ContentEncoding=gzip", b"Content-Encoding: gzip"
READABLE = {
    "garbage behind": (ZIPPED + b"garbage", QUERY, b"X-A: b"),
    "zeros behind": (ZIPPED + b"\0" * 512, QUERY, b"X-A: b"),
    "another member behind": (ZIPPED + gzip.compress(b"{}", mtime=0), QUERY, b"X-A: b"),
    "in two members": (gzip.compress(BUNDLE[:9]) + gzip.compress(BUNDLE[9:]), QUERY, b"X-A: b"),
    "half a member behind": (ZIPPED + ZIPPED[:20], QUERY, b"X-A: b"),
    "no checksum": (ZIPPED[:-8], QUERY, b"X-A: b"),
    "a wrong checksum": (ZIPPED[:-8] + b"\0" * 8, QUERY, b"X-A: b"),
    "announced and plain": (BUNDLE, QUERY, b"X-A: b"),
    "announced by header and plain": (BUNDLE, b"", HEADER),
    "another encoding and plain": (BUNDLE, b"&ContentEncoding=br", b"X-A: b"),
    "not announced": (ZIPPED, b"", b"X-A: b"),
    "announced as deflate": (ZIPPED, QUERY, b"Content-Encoding: deflate"),
    "announced by header alone": (ZIPPED, b"&ContentEncoding=identity", HEADER),
    "announced twice, compressed once": (ZIPPED, QUERY, HEADER),
    "announced twice, compressed twice": (gzip.compress(ZIPPED), QUERY, HEADER),
}
SOUND = {"garbage behind", "zeros behind", "another member behind", "in two members", "announced by header alone"}
SOUND |= {"announced twice, compressed once"}


@pytest.mark.parametrize("how", READABLE)
@pytest.mark.parametrize("path", [b"/rec/bundle?OrgId=o-1", b"/rec/event?OrgId=o-1"])
async def test_what_any_reader_could_read_of_an_upload_is_judged(
    upstream: Echoing, proxy: InProcessProxy, how: str, path: bytes
) -> None:
    body, query, line = READABLE[how]
    # The rest of what is cut is not of an event, so that something is left.
    assert (await ask(proxy, b"POST", path + query, body, line)).status == (200 if b"bundle" in path else 400)
    if b"bundle" in path:
        went = upstream.requests[0].partition(b"\r\n\r\n")[2]
        while went.startswith(b"\x1f\x8b"):
            went = gzip.decompress(went)
        assert went == KEPT


@pytest.mark.parametrize("how", READABLE)
async def test_an_upload_of_which_nothing_is_cut_goes_up_as_it_came(
    upstream: Echoing, proxy: InProcessProxy, how: str
) -> None:
    body, query, line = READABLE[how]
    fine = body.replace(BUNDLE, KEPT).replace(ZIPPED, gzip.compress(KEPT, mtime=0))
    if fine == body:
        return  # it holds the bundle in another form
    assert (await ask(proxy, b"POST", b"/rec/bundle?OrgId=o-1" + query, fine, line)).status == 200
    assert upstream.requests[0].endswith(b"\r\n\r\n" + fine)


@pytest.mark.parametrize("how", READABLE)
async def test_under_block_what_is_not_what_it_is_said_to_be_is_400(upstream: Echoing, how: str) -> None:
    body, query, line = READABLE[how]
    config = {"upstream": {"url": upstream.url}, "client_api": {"on_uninspectable": "block"}}
    async with in_process(config) as proxy:
        answer = await ask(proxy, b"POST", b"/rec/bundle?OrgId=o-1" + query, body, line)
        assert answer.status == (200 if how in SOUND else 400)


@pytest.mark.parametrize("how", READABLE)
async def test_a_page_is_read_like_an_upload_or_refused(upstream: Echoing, proxy: InProcessProxy, how: str) -> None:
    body, query, line = READABLE[how]
    page = body.replace(BUNDLE, PAGE).replace(ZIPPED, gzip.compress(PAGE, mtime=0))
    if how == "in two members":
        page = gzip.compress(PAGE[:9]) + gzip.compress(PAGE[9:])
    answer = await ask(proxy, b"POST", b"/rec/page?" + query, page, line)
    assert answer.status == (202 if how in SOUND else 400)
    assert not upstream.requests


async def test_what_nobody_can_read_goes_by_on_uninspectable(upstream: Echoing, proxy: InProcessProxy) -> None:
    for body in (zlib.compress(BUNDLE), b"\x1f\x8b\x08nothing", ZIPPED[:-40]):
        target = b"/rec/bundle?OrgId=o-1&ContentEncoding=gzip"
        assert (await ask(proxy, b"POST", target, body)).status == 200
        assert upstream.requests.pop().endswith(b"\r\n\r\n" + body)
        direct = b"/client/event?OrgId=o-1&ContentEncoding=br"
        assert (await ask(proxy, b"POST", direct, body)).status == 200
        assert upstream.requests.pop().endswith(b"\r\n\r\n" + body)
