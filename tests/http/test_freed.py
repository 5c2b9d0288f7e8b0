"""What a connection held is freed when it closes, without the garbage collector: a reload exempts what lives from it."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest

from fsproxy.http.connection import ClientConnection
from fsproxy.http.upstream.connection import UpstreamConnection
from support.in_process import InProcessProxy, in_process
from support.raw_http import eventually
from support.raw_upstream import abort
from support.rig import BUNDLE, page
from support.upstream import RecordingUpstream

OURS = (ClientConnection, UpstreamConnection)


_older: list[object] = []
"""Connections of other tests."""


def connections() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, OURS)]


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    _older[:] = connections()
    yield
    _older.clear()
    gc.enable()


def left() -> Counter[str]:
    """Return this test's connections that are still in memory."""
    older = set(map(id, _older))
    return Counter(type(each).__name__ for each in connections() if id(each) not in older)


async def freed(proxy: InProcessProxy) -> None:
    """Fail unless all connections are freed once they are closed."""
    await eventually(lambda: len(proxy.server) == 0)
    proxy.data_plane.upstream.close()
    await eventually(lambda: proxy.data_plane.upstream.connections == 0)
    await eventually(lambda: not left())


async def test_after_pages_and_bundles(upstream: RecordingUpstream) -> None:
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with aiohttp.ClientSession() as http:
            for _ in range(3):
                async with http.post(f"{proxy.url}/rec/page", json=page()) as response:
                    assert response.status == 200
                async with http.post(f"{proxy.url}/rec/bundle/v2?OrgId=o&PageId=p&Seq=1", data=BUNDLE) as response:
                    assert response.status == 200
            assert left() == {"ClientConnection": 1, "UpstreamConnection": 1}
        await freed(proxy)


async def test_after_an_upstream_that_closes_and_one_that_is_gone(upstream: RecordingUpstream) -> None:
    async with in_process({"upstream": {"url": upstream.url, "page_retry": "1ms"}}) as proxy:
        async with aiohttp.ClientSession() as http:
            async with http.post(f"{proxy.url}/rec/beacon") as response:
                assert response.status == 200
            await upstream.refuse()
            async with http.post(f"{proxy.url}/rec/beacon") as response:
                assert response.status == 502
        await freed(proxy)


async def test_after_a_socket(upstream: RecordingUpstream) -> None:
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{proxy.url}/rec/sock?OrgId=o") as socket:
            await socket.send_str('{"Cmd":9}')
            assert (await socket.receive()).data == '{"Cmd":9}'
        await freed(proxy)


async def test_after_a_client_that_goes_away_with_requests_queued(upstream: RecordingUpstream) -> None:
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        upstream.hold()
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"POST /rec/beacon HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok" * 3)
        await upstream.arrived()
        abort(writer.transport)
        upstream.release()
        await upstream.arrived(3)
        await freed(proxy)
