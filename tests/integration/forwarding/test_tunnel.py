"""WebSocket and other upgrades: bytes pass both ways, and either side may end the tunnel (rules.md 4)."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from fsproxy.core.model import Instant
from support.in_process import in_process
from support.raw_http import ServerSide, eventually, raw_client, scripted
from support.upstream import RecordingUpstream

UPGRADE = (
    b"GET /chat?a=%zz HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-A: b\r\n\r\n"


@pytest.mark.parametrize("mode", ["judge", "tunnel"])
@pytest.mark.parametrize("size", [5, 70_000, 3_000_000])
async def test_messages_pass_both_ways(mode: str, size: int) -> None:
    async with RecordingUpstream() as upstream:
        config = {"upstream": {"url": upstream.url}, "socket": mode}
        async with in_process(config) as proxy, aiohttp.ClientSession() as session:
            async with session.ws_connect(f"{proxy.url}/rec/sock?OrgId=o-1", max_msg_size=0) as socket:
                for _ in range(3):
                    await socket.send_bytes(b"x" * size)
                    assert await socket.receive_bytes(timeout=120) == b"x" * size
                await socket.send_str("t" * size)
                assert await socket.receive_str(timeout=120) == "t" * size
            await proxy.idle()
        assert [len(frame) for frame in upstream.frames] == [size] * 4
        head = upstream.only()
        assert (head.value("Upgrade"), head.value("Connection")) == ("websocket", "Upgrade")
        assert head.value("X-Forwarded-For") == "127.0.0.1"


async def test_an_upstream_that_failed_is_back_with_the_first_tunnel() -> None:
    async def serve(side: ServerSide) -> None:
        await side.request()
        await side.say(SWITCHING)
        await side.reader.read()

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        health = proxy.data_plane._watch.health
        health.failed(upstream.url.removeprefix("http://"), "upstream_refused", "", Instant(1000.0))
        assert health.last_failure == "upstream_refused"
        async with raw_client(proxy.port) as client:
            await client.send(UPGRADE)
            assert (await client.head())[1] == 101
            assert health.last_failure is None


async def test_what_comes_right_behind_either_head_is_not_lost() -> None:
    got: list[bytes] = []

    async def serve(side: ServerSide) -> None:
        await side.request()
        await side.say(SWITCHING, b"early down")
        got.append(await side.reader.readexactly(8))
        await side.reader.read()

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            await client.send(UPGRADE, b"early up")
            _, status, _, headers = await client.head()
            assert status == 101
            assert (b"X-A", b"b") in headers
            assert (b"Upgrade", b"websocket") in headers
            assert (b"Connection", b"Upgrade") in headers
            async with asyncio.timeout(120):
                assert await client.reader.readexactly(10) == b"early down"
            await eventually(lambda: got == [b"early up"])


@pytest.mark.parametrize("missing", [b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n"])
async def test_a_101_that_does_not_say_what_it_switches_to_is_502(missing: bytes) -> None:
    async def serve(side: ServerSide) -> None:
        await side.request()
        await side.say(SWITCHING.replace(missing, b""), b"raw bytes")
        await side.reader.read()

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            assert (await client.ask(UPGRADE)).status == 502


async def test_an_upgrade_that_the_upstream_declines_is_an_ordinary_answer() -> None:
    answers = iter((b"/chat", b"/next"))

    async def serve(side: ServerSide) -> None:
        for path in answers:
            assert path in await side.request()
            await side.say(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: h9\r\nContent-Length: 2\r\n\r\nno")

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            assert (await client.ask(UPGRADE)).body == b"no"
            assert (await client.ask(UPGRADE.replace(b"/chat", b"/next"))).status == 426


@pytest.mark.parametrize("who", ["client", "upstream"])
async def test_when_one_side_ends_the_other_is_ended_after_what_was_sent(who: str) -> None:
    ended = asyncio.Event()

    async def serve(side: ServerSide) -> None:
        await side.request()
        await side.say(SWITCHING)
        if who == "upstream":
            await side.say(b"last words")
            return
        assert await side.reader.read() == b"last words"
        ended.set()

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            await client.send(UPGRADE)
            assert (await client.head())[1] == 101
            if who == "upstream":
                assert await client.rest() == b"last words"
            else:
                await client.send(b"last words")
                client.writer.close()
                async with asyncio.timeout(120):
                    await ended.wait()
        await proxy.idle()
        assert proxy.data_plane.upstream.connections == 0


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_side_that_does_not_read_makes_the_other_wait(direction: str) -> None:
    total = 30_000_000
    sent = [0]
    block = b"x" * 65_536
    read = asyncio.Event()
    got = [0]

    async def pour(writer: asyncio.StreamWriter) -> None:
        while sent[0] < total:
            writer.write(block)
            await writer.drain()
            sent[0] += len(block)

    async def serve(side: ServerSide) -> None:
        await side.request()
        await side.say(SWITCHING)
        if direction == "down":
            await pour(side.writer)
            await side.reader.read()
            return
        side.writer.transport.pause_reading()
        await read.wait()
        side.writer.transport.resume_reading()
        while part := await side.reader.read(100_000):
            got[0] += len(part)

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port, limit=2**16) as client:
            await client.send(UPGRADE)
            assert (await client.head())[1] == 101
            pouring = asyncio.create_task(pour(client.writer)) if direction == "up" else None
            before = -1
            while before != sent[0] or not sent[0]:
                before = sent[0]
                await asyncio.sleep(0.1)
            assert sent[0] < total
            read.set()
            while got[0] < total and direction == "down" and (part := await client.reader.read(100_000)):
                got[0] += len(part)
            await eventually(lambda: got[0] >= total)
            if pouring is not None:
                await pouring
