"""The upstream gets the request that the client sent: method, target, headers and body (rules.md 4)."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from support.in_process import InProcessProxy, in_process
from support.raw_http import RawClient, eventually, raw_client
from support.upstream import Received, RecordingUpstream, status

PAGE = b'{"OrgId": "o-1", "Url": "https://a.example/"}'


@pytest.fixture
async def anything() -> AsyncIterator[RecordingUpstream]:
    """An upstream that answers 200 to anything."""
    async with RecordingUpstream(answer=status(200, b"ok"), allow_unexpected=True) as upstream:
        yield upstream


@pytest.fixture
async def proxy(anything: RecordingUpstream) -> AsyncIterator[InProcessProxy]:
    async with in_process({"upstream": {"url": anything.url}}) as running:
        yield running


@pytest.fixture
async def client(proxy: InProcessProxy) -> AsyncIterator[RawClient]:
    async with raw_client(proxy.port) as connected:
        yield connected


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT"])
async def test_any_method_goes_up(client: RawClient, anything: RecordingUpstream, method: str) -> None:
    answer = await client.ask(method.encode(), b" /thing HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.status, answer.body) == (200, b"ok")
    assert anything.only().method == method


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/s/settings/o-1/v1/web?a=%2F&b=%zz&c=a;b&d=%E4&&e",
        "/x//y/?q=1&q=2",
        "/a%2Fb/./c/../d",
        "/%7euser/%41?%41=%7e+%20",
        "/rec/%70age2?",
        "/?",
        "/a?b?c=/d",
        '/|[]{}^`"<>\\',
        "//double",
        "/s/x;v=1,2:3@4!$&'()*",
        "/rec/../rec/x",
    ],
)
async def test_the_raw_target_goes_up(client: RawClient, anything: RecordingUpstream, target: str) -> None:
    answer = await client.ask(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert answer.status == 200
    assert anything.only().target == target


async def test_an_absolute_target_goes_up_in_origin_form(client: RawClient, anything: RecordingUpstream) -> None:
    answer = await client.ask(b"GET http://elsewhere.example/a/%2e?b=%zz HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n")
    assert answer.status == 200
    assert anything.only().target == "/a/%2e?b=%zz"
    assert anything.only().value("Host") == f"127.0.0.1:{anything.port}"


async def test_connect_is_not_a_thing_that_a_proxy_of_one_upstream_does(
    client: RawClient, anything: RecordingUpstream
) -> None:
    answer = await client.ask(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
    assert answer.status == 405
    assert not anything.received


async def test_repeated_headers_keep_order_case_and_bytes(client: RawClient, anything: RecordingUpstream) -> None:
    sent = [(b"X-One", b"1"), (b"x-ONE", b"2"), (b"X-Bytes", b"\xe4\xf6 \xff"), (b"X-One", b"3"), (b"X-Empty", b"")]
    lines = b"".join(b"%b: %b\r\n" % pair for pair in sent)
    await client.ask(b"GET /h HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n")
    got = [pair for pair in anything.only().headers if pair[0].lower() in {b"x-one", b"x-bytes", b"x-empty"}]
    assert got == sent


async def test_no_header_is_invented(client: RawClient, anything: RecordingUpstream) -> None:
    await client.ask(b"GET /plain HTTP/1.1\r\nHost: a.example\r\n\r\n")
    names = [name.lower() for name, _ in anything.only().headers]
    ours = [b"cdn-loop", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-request-id"]
    assert sorted(names) == sorted([b"host", *ours])


async def test_a_post_without_a_body_says_so(client: RawClient, anything: RecordingUpstream) -> None:
    await client.ask(b"POST /empty HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    assert anything.only().value("Content-Length") == "0"
    assert anything.only().body == b""


async def test_compressed_bodies_stay_as_they_are(client: RawClient, anything: RecordingUpstream) -> None:
    body = gzip.compress(b"abc" * 1000, mtime=0)
    await client.ask(
        b"POST /other HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nAccept-Encoding: br, gzip;q=0.5\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body),
        body,
    )
    received = anything.only()
    assert received.body == body
    assert received.value("Content-Encoding") == "gzip"
    assert received.value("Accept-Encoding") == "br, gzip;q=0.5"


@pytest.mark.parametrize("path", ["/other", "/rec/bundle", "/rec/event"])
async def test_chunked_bodies_arrive(client: RawClient, anything: RecordingUpstream, path: str) -> None:
    answer = await client.ask(
        f"POST {path}?OrgId=o HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode(),
        b"5\r\nhello\r\n1;ext=1\r\n,\r\n6\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n",
    )
    assert answer.status == 200
    assert anything.only().body == b"hello, world"
    assert anything.only().value("X-Trailer") is None


async def test_a_chunked_body_in_pieces_arrives(client: RawClient, anything: RecordingUpstream) -> None:
    for (
        byte
    ) in b"POST /other HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n":
        await client.send(bytes([byte]))
    assert (await client.answer()).status == 200
    assert anything.only().body == b"abcde"


async def test_head_gets_a_head(client: RawClient, anything: RecordingUpstream) -> None:
    answer = await client.ask(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", head_only=True)
    assert answer.value("Content-Length") == b"2"
    assert (await client.ask(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")).body == b"ok"
    assert [one.method for one in anything.received] == ["HEAD", "GET"]


async def test_requests_of_one_connection_share_one_upstream_connection(
    client: RawClient, anything: RecordingUpstream
) -> None:
    for number in range(5):
        assert (await client.ask(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)).status == 200
    assert [one.target for one in anything.received] == ["/0", "/1", "/2", "/3", "/4"]
    assert anything.connections == 1


async def test_pipelined_requests_are_answered_in_order(client: RawClient, anything: RecordingUpstream) -> None:
    async def echo(request: web.BaseRequest, received: Received) -> web.Response:
        return web.Response(body=received.target.encode() + received.body)

    anything.answer = echo
    await client.send(
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
        b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
        b"POST /4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
    )
    assert [(await client.answer()).body for _ in range(4)] == [b"/1", b"/2abc", b"/3", b"/4de"]
    assert await client.closed()


@pytest.mark.parametrize("path", ["/other", "/rec/bundle"])
async def test_a_client_that_asks_first_is_told_to_go_on(
    client: RawClient, anything: RecordingUpstream, path: str
) -> None:
    await client.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n".encode())
    assert (await client.head())[1] == 100
    assert (await client.ask(b"hello")).status == 200
    assert anything.only().body == b"hello"
    assert anything.only().value("Expect") is None


@pytest.mark.parametrize("path", ["/other", "/rec/bundle"])
async def test_a_client_of_http_1_0_is_never_sent_a_100(
    proxy: InProcessProxy, client: RawClient, anything: RecordingUpstream, path: str
) -> None:
    await client.send(f"POST {path} HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhel".encode())
    await eventually(lambda: proxy.metrics.in_flight == 1)
    await client.send(b"lo")
    assert (await client.head())[1] == 200
    assert anything.only().body == b"hello"


async def test_a_client_of_http_1_0_gets_an_answer_that_it_can_read(
    client: RawClient, anything: RecordingUpstream
) -> None:
    async def chunks(request: web.BaseRequest, received: Received) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"one")
        await answer.write(b"two")
        return answer

    anything.answer = chunks
    answer = await client.ask(b"GET /x HTTP/1.0\r\n\r\n")
    assert answer.value("Connection") == b"close"
    assert (answer.body, answer.chunked) == (b"onetwo", False)


async def test_a_blocked_client_of_http_1_0_is_told_that_the_connection_ends(anything: RecordingUpstream) -> None:
    config = {"upstream": {"url": anything.url}, "orgs": {"unlisted": "block", "listed": {"o-1": {}}}}
    async with in_process(config) as proxy, raw_client(proxy.port) as client:
        body = b'{"OrgId": "o-2", "Url": "https://a.example/"}'
        answer = await client.ask(
            b"POST /rec/page HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n" % len(body), body
        )
        assert (answer.status, answer.value("Connection")) == (202, b"close")
        assert await client.closed()


async def test_a_page_is_only_asked_for_in_what_we_can_read(proxy: InProcessProxy, anything: RecordingUpstream) -> None:
    async with aiohttp.ClientSession(skip_auto_headers=["Accept-Encoding"]) as session:
        await session.post(f"{proxy.url}/rec/page", data=PAGE, headers={"Accept-Encoding": "gzip, deflate, br, zstd"})
        await session.post(f"{proxy.url}/rec/page", data=PAGE)
    narrowed, none = anything.received
    assert narrowed.value("Accept-Encoding") == "gzip"
    assert none.value("Accept-Encoding") is None
