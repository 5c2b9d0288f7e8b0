"""Slow uploads over the wire, in a time that passes as the test says (rules.md 4, ``server.body_rate``).

The real time passes too: what is left to a limit is more than a busy machine takes.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from support.in_process import InProcessProxy, in_process
from support.raw_http import RawClient, eventually, raw_client
from support.skipped_time import SkippedTime
from support.upstream import RecordingUpstream

STEP = 8 * 1024
"""Bytes a second at 64 kbit/s."""
EVENT = b'{"Kind":25,"Args":["%b"],"When":0}' % (b"x" * 300_000)
BUNDLE = b'{"Seq":1,"When":0,"Evts":[%b]}' % EVENT
PAGE = json.dumps({"OrgId": "o-1", "Url": "https://app.example.com/", "X": "x" * 300_000}).encode()
BODIES = {"/rec/bundle/v2?OrgId=o-1": BUNDLE, "/rec/page": PAGE, "/rec/event?OrgId=o-1": BUNDLE, "/x": BUNDLE}


@pytest.fixture
async def time() -> SkippedTime:
    return SkippedTime(asyncio.get_running_loop())


async def begin(client: RawClient, target: str, size: int) -> None:
    await client.send(f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())


async def came(proxy: InProcessProxy, size: int) -> None:
    """So many bytes of the one body have been read."""
    await eventually(lambda: [flow.bytes_in for flow in proxy.data_plane._in_flight] == [size])


@pytest.mark.parametrize("target", BODIES)
async def test_300_kb_at_64_kbit_a_second_come_through(time: SkippedTime, target: str) -> None:
    body = BODIES[target]
    async with RecordingUpstream(allow_unexpected=True) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            await begin(client, target, len(body))
            for at in range(0, len(body) - STEP, STEP):
                await client.send(body[at : at + STEP])
                await came(proxy, at + STEP)
                time.skip(1.0)
            answer = await client.ask(body[at + STEP :])
            assert answer.status == (404 if target == "/x" else 200)
        assert upstream.only().body == body


@pytest.mark.parametrize("target", BODIES)
async def test_a_byte_now_and_then_is_refused_after_30_seconds(time: SkippedTime, target: str) -> None:
    async with RecordingUpstream(allow_unexpected=True) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            await begin(client, target, 1000)
            await client.send(b"{")
            await came(proxy, 1)
            time.skip(20.0)
            await client.send(b" ")
            await came(proxy, 2)
            time.skip(20.0)
            answer = await client.answer()
            assert answer.status == (502 if "OrgId" in target else 408)
            assert await client.closed()
            await proxy.idle()
            await eventually(lambda: proxy.data_plane.upstream.connections == 0)
        assert not upstream.received


async def test_a_body_that_is_read_ends_after_five_minutes_whatever_its_rate(time: SkippedTime) -> None:
    async with RecordingUpstream() as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            await begin(client, "/rec/bundle?OrgId=o-1", 10_000_000)
            for second in range(20, 300, 20):
                await client.send(b"x" * STEP)
                await came(proxy, STEP * second // 20)
                time.skip(20.0)
            time.skip(20.0)
            assert (await client.answer()).status == 502
        assert not upstream.received


async def test_body_rate_is_configurable(time: SkippedTime) -> None:
    async with RecordingUpstream(allow_unexpected=True) as upstream:
        config = {"upstream": {"url": upstream.url}, "server": {"body_rate": "1MB"}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            await begin(client, "/rec/page", 100_000)
            for number in range(1, 6):
                await client.send(b" " * 1000)
                await came(proxy, number * 1000)
                time.skip(4.0)
            time.skip(15.0)
            assert (await client.answer()).status == 408
