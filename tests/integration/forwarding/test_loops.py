"""A request that comes back to the instance that sent it ends there (``CDN-Loop``, RFC 8586; rules.md 4)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog.testing

from support.detour import Detour
from support.in_process import InProcessProxy, in_process
from support.raw_http import RawClient, eventually, raw_client, scripted
from support.upstream import RecordingUpstream

PAGE = json.dumps({"OrgId": "o-1", "Url": "https://app.example.com/", "PageId": "p-1"}).encode()
BUNDLE = b'{"Seq":1,"When":0,"Evts":[]}'
UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@asynccontextmanager
async def looping(mode: str = "enforce", prefixes: bool = False) -> AsyncIterator[tuple[InProcessProxy, Detour]]:  # noqa: FBT001, FBT002
    """A proxy whose upstream leads back to itself; with ``prefixes``, only that of ``/s/`` does."""
    detour = Detour()
    async with scripted(detour.serve) as back, RecordingUpstream(allow_unexpected=True) as upstream:
        urls = {"url": upstream.url, "prefixes": {"/s/": back.url}} if prefixes else {"url": back.url}
        async with in_process({"upstream": urls, "mode": mode}) as proxy:
            detour.port = proxy.port
            yield proxy, detour


async def ask(client: RawClient, path: bytes, body: bytes) -> int:
    return (
        await client.ask(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (path, len(body)), body)
    ).status


@pytest.mark.parametrize("mode", ["enforce", "bypass"])
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (b"/x", b"", 508),
        (b"/x", b"y" * 200_000, 508),
        (b"/rec/page", PAGE, 508),
        (b"/client/event?OrgId=o-1", b'{"name":"E"}', 508),
        (b"/rec/bundle/v2?OrgId=o-1", BUNDLE, 502),
        (b"/rec/event?OrgId=o-1", BUNDLE, 502),
    ],
)
async def test_a_loop_ends_when_the_request_comes_back_first(path: bytes, body: bytes, status: int, mode: str) -> None:
    async with looping(mode) as (proxy, detour), raw_client(proxy.port) as client:
        assert await ask(client, path, body) == status
        assert detour.connections == 1
        assert proxy.metrics.loops[()] == 1
        assert sum(proxy.metrics.requests.values()) == 2, "the first time, and when it came back"


@pytest.mark.parametrize("path", [b"/rec/sock", b"/chat"])
async def test_a_sockets_upgrade_is_stopped_too(path: bytes) -> None:
    async with looping() as (proxy, detour), raw_client(proxy.port) as client:
        await client.send(UPGRADE % path)
        await eventually(lambda: proxy.metrics.loops[()] == 1)
        await eventually(lambda: sum(proxy.metrics.requests.values()) >= 1)
        assert detour.connections == 1


async def test_an_upstream_of_a_prefix_is_no_way_round() -> None:
    async with looping(prefixes=True) as (proxy, detour), raw_client(proxy.port) as client:
        assert await ask(client, b"/s/fs.js", b"") == 508
        assert detour.connections == 1
        assert await ask(client, b"/rec/page", PAGE) == 200


async def test_a_loop_is_logged_once_and_told_to_operators() -> None:
    with structlog.testing.capture_logs() as logged:
        async with looping() as (proxy, _), raw_client(proxy.port) as client:
            assert not proxy.data_plane.state()["warnings"]
            for _ in range(5):
                assert await ask(client, b"/x", b"") == 508
            assert proxy.metrics.loops[()] == 5
            assert any("came back" in str(each) for each in proxy.data_plane.state()["warnings"])  # type: ignore[attr-defined]
    assert len([each for each in logged if "came back" in each["event"]]) == 1


async def test_two_proxies_that_lead_to_each_other_end_it_in_the_first() -> None:
    detour = Detour()
    async with scripted(detour.serve) as back, in_process({"upstream": {"url": back.url}}) as second:
        async with in_process({"upstream": {"url": second.url}}) as first, raw_client(first.port) as client:
            detour.port = first.port
            assert await ask(client, b"/x", b"") == 508
            assert (first.metrics.loops[()], second.metrics.loops[()]) == (1, 0)


async def test_another_proxys_name_is_kept_and_stops_nothing() -> None:
    async with RecordingUpstream(allow_unexpected=True) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            await client.ask(b"GET /x HTTP/1.1\r\nHost: a\r\nCDN-Loop: cdn.example\r\n\r\n")
            assert proxy.metrics.loops[()] == 0
        passed = upstream.only().value("CDN-Loop")
        assert passed is not None
        assert passed.startswith("cdn.example, ")
        assert len(passed) > len("cdn.example, ")
