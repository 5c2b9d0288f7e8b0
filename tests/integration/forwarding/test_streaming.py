"""Bodies of any size pass both ways in bounded memory, because a side that does not read is not sent to (rules.md 4)."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from aiohttp.streams import StreamReader

from support.in_process import InProcessProxy, in_process
from support.raw_http import ServerSide, eventually, raw_client, scripted

SIZE = 40_000_000
BLOCK = bytes(range(256)) * 256
BOUND = 2_000_000
"""Bytes that our own buffers may hold for one request. The kernel's buffers do not count."""


def buffered(proxy: InProcessProxy) -> int:
    """Return how many bytes the proxy's own buffers hold, towards both sides and of request bodies."""
    total = 0
    for flow in proxy.data_plane._in_flight:
        transport = flow.connection.transport
        total += transport.get_write_buffer_size() if transport is not None else 0
        if isinstance(flow.payload, StreamReader):
            total += flow.payload.total_bytes - flow.bytes_in
        upstream = flow.writer.connection if flow.writer is not None else None
        if upstream is not None and upstream.transport is not None:
            total += upstream.transport.get_write_buffer_size()
    return total


async def stalled(count: list[int]) -> None:
    """Wait until a side has stopped."""
    async with asyncio.timeout(120):
        before = -1
        while before != count[0] or not count[0]:
            before = count[0]
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_answer_waits_for_a_client_that_does_not_read(chunked: bool) -> None:  # noqa: FBT001
    sent = [0]

    async def serve(side: ServerSide) -> None:
        await side.request()
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % SIZE
        await side.say(b"HTTP/1.1 200 OK\r\n", framing, b"\r\n\r\n")
        while sent[0] < SIZE:
            block = BLOCK[: SIZE - sent[0]]
            await side.say(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
            sent[0] += len(block)
        await side.say(b"0\r\n\r\n" if chunked else b"")
        await side.request()

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port, limit=2**16) as client:
            await client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
            await stalled(sent)
            assert sent[0] < SIZE, "the upstream had to wait"
            assert buffered(proxy) < BOUND
            answer = await client.answer()
            assert (len(answer.body), answer.chunked) == (SIZE, chunked)
            assert hashlib.sha256(answer.body).digest() == whole()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_upload_waits_for_an_upstream_that_does_not_read(chunked: bool) -> None:  # noqa: FBT001
    read = asyncio.Event()
    got = hashlib.sha256()

    async def serve(side: ServerSide) -> None:
        head = await side.request()
        await read.wait()
        left = SIZE
        if b"chunked" in head:
            while size := int(await side.reader.readuntil(b"\r\n"), 16):
                got.update((await side.reader.readexactly(size + 2))[:-2])
            await side.reader.readexactly(2)
        else:
            while left:
                part = await side.reader.read(min(left, 100_000))
                got.update(part)
                left -= len(part)
                assert part
        await side.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await side.request()

    async with scripted(serve, limit=2**16) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            sent = [0]

            async def upload() -> None:
                framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % SIZE
                client.writer.write(b"POST /big HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % framing)
                while sent[0] < SIZE:
                    block = BLOCK[: SIZE - sent[0]]
                    client.writer.write(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
                    await client.writer.drain()
                    sent[0] += len(block)
                client.writer.write(b"0\r\n\r\n" if chunked else b"")

            async with asyncio.TaskGroup() as group:
                group.create_task(upload())
                await stalled(sent)
                assert sent[0] < SIZE, "the client had to wait"
                assert buffered(proxy) < BOUND
                read.set()
            assert (await client.answer()).status == 200
        assert got.digest() == whole()


def whole() -> bytes:
    """Return the digest of the whole body."""
    digest = hashlib.sha256()
    left = SIZE
    while left:
        digest.update(BLOCK[:left])
        left -= min(left, len(BLOCK))
    return digest.digest()


async def test_an_answer_is_passed_on_as_it_comes() -> None:
    more = asyncio.Event()

    async def serve(side: ServerSide) -> None:
        await side.request()
        await side.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await more.wait()
        await side.say(b"6\r\nsecond\r\n0\r\n\r\n")

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            await client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            await client.head()
            async with asyncio.timeout(120):
                assert await client.reader.readuntil(b"first\r\n") == b"5\r\nfirst\r\n"
            more.set()
            async with asyncio.timeout(120):
                assert await client.reader.readuntil(b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"


async def test_a_body_is_passed_on_as_it_comes() -> None:
    came: list[bytes] = []

    async def serve(side: ServerSide) -> None:
        await side.request()
        came.append(await side.reader.readexactly(5))
        came.append(await side.reader.readexactly(5))
        await side.say(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            await client.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
            await eventually(lambda: came == [b"first"])
            assert (await client.ask(b"other")).status == 204
        assert came == [b"first", b"other"]


async def test_a_client_that_never_reads_its_answer_is_given_up() -> None:
    async def serve(side: ServerSide) -> None:
        await side.request()
        await side.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        while True:
            await side.say(BLOCK)

    async with scripted(serve) as upstream:
        config = {"upstream": {"url": upstream.url, "timeouts": {"response": "300ms"}}}
        async with in_process(config) as proxy, raw_client(proxy.port, limit=1000) as client:
            await client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
            await eventually(lambda: proxy.metrics.in_flight == 1)
            await proxy.idle()
            assert proxy.data_plane.upstream.connections == 0
            assert not proxy.metrics.upstream_failures, "it is not the upstream that failed"
