"""Hundreds of requests with very slow bodies do not keep others from the upstream (rules.md 4)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from fsproxy.proxy import bodies
from support.in_process import InProcessProxy, in_process
from support.raw_http import RawClient, ServerSide, eventually, raw_client, scripted
from support.upstream import RecordingUpstream

PAGE = json.dumps({"OrgId": "o-1", "Url": "https://app.example.com/", "PageId": "p-1"}).encode()
BUNDLE = b'{"Seq":1,"When":0,"Evts":[]}'
EVENT = b'{"name":"E","properties":{}}'
UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ATTACKERS = 512
HALF = 256


def post(path: bytes, size: int) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (path, size)


@asynccontextmanager
async def attackers(proxy: InProcessProxy, sent: Sequence[bytes]) -> AsyncIterator[list[RawClient]]:
    """Open a connection for each request, and send it."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_client(proxy.port)) for _ in sent]
        for client, request in zip(clients, sent, strict=True):
            await client.send(request)
        yield clients


async def is_served(proxy: InProcessProxy) -> None:
    """Check that a page, a bundle, an event, direct calls, a server's call and a socket are answered."""
    for path, body in (
        (b"/rec/page", PAGE),
        (b"/rec/bundle/v2?OrgId=o-1", BUNDLE),
        (b"/rec/event?OrgId=o-1", BUNDLE),
        (b"/client/event?OrgId=o-1", EVENT),
        (b"/v2/events", EVENT),
    ):
        async with raw_client(proxy.port) as client:
            assert (await client.ask(post(path, len(body)), body)).status == 200, path
    async with raw_client(proxy.port) as client:
        await client.send(UPGRADE % b"/rec/sock")
        assert (await client.head())[1] == 101


async def settled(proxy: InProcessProxy, requests: int) -> None:
    """Wait until each request has a connection or was refused one."""
    upstream, failures = proxy.data_plane.upstream, proxy.metrics.upstream_failures
    await eventually(lambda: upstream.connections + sum(failures.values()) >= requests)


def drips(path: bytes) -> list[bytes]:
    return [post(path, 1_000_000) + b"x" for _ in range(ATTACKERS)]


@pytest.mark.parametrize("path", [b"/x", b"/s/fs.js", b"/rec/except"])
async def test_512_dripping_requests_keep_no_recorder_from_the_upstream(path: bytes) -> None:
    async with RecordingUpstream(allow_unexpected=True) as upstream, in_process(_before(upstream.url)) as proxy:
        async with attackers(proxy, drips(path)):
            await settled(proxy, ATTACKERS)
            assert proxy.data_plane.upstream.connections <= HALF
            for _ in range(3):
                await is_served(proxy)
        await proxy.idle()


async def test_in_bypass_mode_a_body_that_is_still_coming_is_one_of_the_others_on_any_path() -> None:
    async with RecordingUpstream(allow_unexpected=True) as upstream:
        nothing = {"mode": "bypass", "filters": {"opt_out": {"cookies": []}}}  # a privacy rule would have pages read
        async with in_process({**_before(upstream.url), **nothing}) as proxy:
            async with attackers(proxy, drips(b"/rec/page")):
                await settled(proxy, ATTACKERS)
                assert proxy.data_plane.upstream.connections <= HALF
                await is_served(proxy)
            await proxy.idle()


async def test_sockets_and_long_answers_of_other_paths_leave_half_to_capture_and_sockets_a_quarter() -> None:
    async def serve(side: ServerSide) -> None:
        while True:
            asked = await side.whole_request()
            if b"Upgrade: websocket" in asked:
                await side.say(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
                await side.reader.read()
            elif asked.startswith(b"GET /long"):
                await side.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
                await side.reader.read()
            await side.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async with scripted(serve) as upstream, in_process(_before(upstream.url)) as proxy:
        long = [b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n"] * 200
        sockets = [UPGRADE % b"/chat"] * 200
        async with attackers(proxy, long + sockets):
            await settled(proxy, 400)
            assert proxy.data_plane.upstream.connections <= HALF
            await is_served(proxy)
            async with attackers(proxy, [UPGRADE % b"/rec/sock"] * 200):
                await settled(proxy, 600)
                assert HALF < proxy.data_plane.upstream.connections <= 384
                body = BUNDLE
                async with raw_client(proxy.port) as client:
                    assert (await client.ask(post(b"/rec/bundle?OrgId=o-1", len(body)), body)).status == 200
        await proxy.idle()


def _before(url: str) -> dict[str, object]:
    return {"upstream": {"url": url}}


async def test_no_connection_is_held_before_64_kb_or_the_end_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "OPENING_SECONDS", 3600.0)
    async with RecordingUpstream(allow_unexpected=True) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy:
            big, small = 200_000, 1000
            sent = [post(b"/x", big) + b"x" * 60_000, post(b"/x", small) + b"x" * 500]
            chunked = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 500
            async with attackers(proxy, [*sent, chunked]) as (at_64_kb, at_its_end, in_chunks):
                await eventually(lambda: proxy.metrics.in_flight == 3)
                for _ in range(50):
                    await asyncio.sleep(0)
                assert proxy.data_plane.upstream.connections == 0
                await at_64_kb.send(b"x" * 10_000)
                await eventually(lambda: proxy.data_plane.upstream.connections == 1)
                assert not upstream.received
                await at_its_end.send(b"x" * 500)
                assert (await at_its_end.answer()).status == 404
                await in_chunks.send(b"x" * 500 + b"\r\n0\r\n\r\n")
                assert (await in_chunks.answer()).status == 404
                await at_64_kb.send(b"x" * 130_000)
                assert (await at_64_kb.answer()).status == 404
        assert [len(each.body) for each in upstream.received] == [small, small, big]


async def test_after_a_second_of_waiting_what_has_come_goes_up() -> None:
    begun: list[bytes] = []

    async def serve(side: ServerSide) -> None:
        begun.append(await side.reader.readuntil(b"begun"))
        await side.reader.read()

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with attackers(proxy, [post(b"/x", 100) + b"begun"]):
            await eventually(lambda: len(begun) == 1)
        await proxy.idle()


async def test_a_client_that_asks_first_is_told_to_go_on_before_there_is_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "OPENING_SECONDS", 3600.0)
    async with RecordingUpstream(allow_unexpected=True) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            assert (await client.head())[1] == 100
            assert proxy.data_plane.upstream.connections == 0
            assert (await client.ask(b"hello")).status == 404
        assert upstream.only().value("Expect") is None
