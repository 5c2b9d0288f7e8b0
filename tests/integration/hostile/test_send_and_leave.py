"""Clients that send and leave at once get at most a quarter of the pool, and are counted."""

from __future__ import annotations

import asyncio

import pytest

from fsproxy.core.failures import Failure
from support.in_process import InProcessProxy, in_process
from support.leaving import LeavingClient, Way, send_and_leave
from support.raw_http import eventually, raw_client
from support.rig import BUNDLE
from support.upstream import RecordingUpstream

SECONDS = 30.0
PAGE = b'{"OrgId": "o-1", "Url": "https://app.example.com/"}'
TARGETS = {"bundle": "/rec/bundle/v2?OrgId=o-1", "event": "/rec/event?OrgId=o-1", "other": "/rec/except"}


def post(kind: str, body: bytes = BUNDLE) -> bytes:
    target = TARGETS[kind].encode()
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (target, len(body), body)


def unattended(proxy: InProcessProxy) -> float:
    """Return a metric's value as /metrics shows it."""
    return proxy.metrics.gauges["unattended_exchanges"][1]()


async def flood(proxy: InProcessProxy, kind: str, count: int, way: Way = Way.CLOSE) -> list[LeavingClient]:
    """Send so many requests, each of whose clients leaves before the next. Return once all go on or are dropped."""
    before = unattended(proxy) + proxy.metrics.unattended_dropped[()]
    clients = [await send_and_leave(proxy.port, post(kind, b"%d" % number), way) for number in range(count)]
    await eventually(lambda: unattended(proxy) + proxy.metrics.unattended_dropped[()] == before + count, SECONDS)
    return clients


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("kind", TARGETS)
async def test_a_flood_holds_a_quarter_of_the_pool_and_the_rest_is_counted(
    upstream: RecordingUpstream, kind: str, way: Way
) -> None:
    config = {"upstream": {"url": upstream.url, "max_connections": 16, "timeouts": {"connect": "60s"}}}
    async with in_process(config) as proxy:
        upstream.hold()
        clients = await flood(proxy, kind, 40, way)
        assert unattended(proxy) == 4
        assert proxy.metrics.unattended_dropped[()] == 36
        async with raw_client(proxy.port) as client:
            page = b"POST /rec/page HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE)
            await client.send(page)
            await eventually(lambda: any(one.path == "/rec/page" for one in upstream.received), SECONDS)
            upstream.release()
            assert (await client.answer()).status == 200
        await proxy.idle()
        assert unattended(proxy) == 0
        assert proxy.data_plane.upstream.connections <= 16
        for client in clients:
            client.close()


async def test_others_that_leave_cannot_take_the_places_of_bundles(upstream: RecordingUpstream) -> None:
    config = {"upstream": {"url": upstream.url, "max_connections": 16, "timeouts": {"connect": "60s"}}}
    async with in_process(config) as proxy:
        upstream.hold()
        await flood(proxy, "other", 20)
        for kind in ("bundle", "event"):
            await flood(proxy, kind, 2)
        pool = proxy.data_plane.upstream.way("/", "/")[0]
        assert len(pool.unattended) == 4
        await flood(proxy, "other", 5)
        dropped = proxy.metrics.unattended_dropped[()]
        assert dropped == 16 + 4 + 5
        upstream.release()
        await proxy.idle()
        bundles = [one for one in upstream.received if one.path in {"/rec/bundle/v2", "/rec/event"}]
        assert len(bundles) == 4
        assert proxy.metrics.unattended_dropped[()] == dropped


async def test_those_that_leave_before_anything_went_up_count_too(upstream: RecordingUpstream) -> None:
    await upstream.refuse()
    config = {"upstream": {"url": upstream.url, "max_connections": 4, "page_retry": "60s"}}
    async with in_process(config) as proxy:
        page = b"POST /rec/page HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE)
        for _ in range(5):
            await send_and_leave(proxy.port, page)
        await eventually(lambda: proxy.metrics.unattended_dropped[()] == 4, SECONDS)
        await upstream.accept()
        await upstream.arrived(1, SECONDS)
        await proxy.idle()
        assert len(upstream.received) == 1


async def test_clients_that_left_count_as_connections(upstream: RecordingUpstream) -> None:
    config = {"upstream": {"url": upstream.url, "max_connections": 64}, "server": {"max_connections": 10}}
    async with in_process(config) as proxy:
        upstream.hold()
        await flood(proxy, "bundle", 10, Way.RESET)
        await eventually(lambda: len(proxy.server.connections) == 0, SECONDS)
        assert len(proxy.server) == 10
        async with raw_client(proxy.port) as client:
            assert (await client.ask(post("other"))).status == Failure.OVERLOADED.status
        upstream.release()
        await proxy.idle()
        await eventually(lambda: len(proxy.server) == 0, SECONDS)
        async with raw_client(proxy.port) as client:
            assert (await client.ask(post("other"))).status == 200


async def test_one_that_ends_its_side_and_never_reads_is_given_up(upstream: RecordingUpstream) -> None:
    config = {"upstream": {"url": upstream.url, "timeouts": {"response": "500ms"}}}
    async with in_process(config) as proxy:
        upstream.hold()
        clients = await flood(proxy, "other", 3, Way.HALF)
        await proxy.idle()
        await eventually(lambda: proxy.data_plane.upstream.connections == 0, SECONDS)
        for client in clients:
            client.close()
        await asyncio.sleep(0)
