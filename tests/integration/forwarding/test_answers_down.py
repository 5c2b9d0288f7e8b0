"""The client gets what the upstream answers, and a cut or broken answer never looks whole (rules.md 4)."""

from __future__ import annotations

import asyncio
import gzip
import os

import pytest

from support.in_process import in_process
from support.raw_http import CutError, ServerSide, eventually, raw_client, scripted
from support.raw_upstream import RawAnswer, RawUpstream

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "status", [200, 201, 203, 206, 299, 300, 301, 308, 400, 404, 418, 429, 451, 500, 502, 503, 599]
)
async def test_every_status_passes_with_its_reason_and_repeated_headers(status: int) -> None:
    answer = (
        b"HTTP/1.1 %d As It Is\r\nX-One: 1\r\nx-one: 2\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n"
        b"Location: http://elsewhere/x\r\nRetry-After: 7\r\nServer: s\r\nX-Bytes: \xe4\xff\r\n"
        b"Content-Length: 4\r\n\r\nbody"
    ) % status
    async with RawUpstream([RawAnswer(answer)]) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            got = await client.ask(GET)
    assert (got.status, got.reason, got.body) == (status, b"As It Is", b"body")
    assert got.headers[:-1] == (
        (b"X-One", b"1"),
        (b"x-one", b"2"),
        (b"Set-Cookie", b"a=1; Path=/"),
        (b"Set-Cookie", b"b=2"),
        (b"Location", b"http://elsewhere/x"),
        (b"Retry-After", b"7"),
        (b"Server", b"s"),
        (b"X-Bytes", b"\xe4\xff"),
        (b"Content-Length", b"4"),
    )
    assert got.headers[-1][0] == b"X-Request-Id"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
        b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n',
        b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 100\r\n\r\n',
        b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_answers_without_a_body_leave_the_connection_usable(answer: bytes) -> None:
    async with RawUpstream([RawAnswer(answer), RawAnswer(OK)]) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            first = await client.ask(GET)
            assert first.status == int(answer[9:12])
            assert first.value("Content-Length") == (b"100" if b"100" in answer else b"0" if b"205" in answer else None)
            assert (await client.ask(GET)).body == b"ok"
        assert upstream.connections == 1


async def test_compressed_answers_stay_as_they_are() -> None:
    body = gzip.compress(os.urandom(50_000), mtime=0)
    head = b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nETag: W/"x"\r\nContent-Length: %d\r\n\r\n' % len(body)
    async with RawUpstream([RawAnswer(head + body)]) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            got = await client.ask(GET)
    assert (got.body, got.value("Content-Encoding"), got.value("ETag")) == (body, b"gzip", b'W/"x"')


async def test_chunked_answers_pass_without_their_trailers() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n"
    )
    async with RawUpstream([RawAnswer(answer), RawAnswer(OK)]) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            got = await client.ask(GET)
            assert (got.body, got.chunked, got.value("X-Trailer")) == (b"abcde", True, None)
            assert (await client.ask(GET)).body == b"ok"
        assert upstream.connections == 1


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_answer_that_ends_with_its_connection_is_chunked_for_the_client(version: bytes) -> None:
    answer = b"HTTP/%b 200 OK\r\nConnection: close\r\n\r\nall of it" % version
    async with RawUpstream([RawAnswer(answer, then="close"), RawAnswer(OK)]) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            got = await client.ask(GET)
            assert (got.version, got.body, got.chunked) == (b"HTTP/1.1", b"all of it", True)
            assert (await client.ask(GET)).body == b"ok"


async def test_a_head_answer_keeps_its_length_and_never_grows_a_body() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    async with RawUpstream([RawAnswer(head), RawAnswer(OK)]) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            got = await client.ask(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", head_only=True)
            assert got.value("Content-Length") == b"1000"
            assert (await client.ask(GET)).body == b"ok"


async def test_a_chunked_head_answer_never_grows_a_body() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with RawUpstream([RawAnswer(head), RawAnswer(OK)]) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            assert (await client.ask(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", head_only=True)).status == 200
            assert (await client.ask(GET)).body == b"ok"


async def test_an_answer_that_only_offers_an_upgrade_is_an_ordinary_one() -> None:
    answer = b"HTTP/1.1 200 OK\r\nUpgrade: h2\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok"
    async with RawUpstream([RawAnswer(answer), RawAnswer(OK)]) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            got = await client.ask(GET)
            assert (got.body, got.value("Upgrade"), got.value("Connection")) == (b"ok", None, None)
            assert (await client.ask(GET)).body == b"ok"


async def test_informational_answers_are_only_a_prelude() -> None:
    prelude = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with RawUpstream([RawAnswer(prelude + OK)]) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            got = await client.ask(GET)
    assert (got.status, got.body, got.value("Link")) == (200, b"ok", None)


async def test_an_answer_cut_by_a_reset_while_it_lasts_until_the_end_never_looks_whole() -> None:
    gone = asyncio.Event()

    async def serve(side: ServerSide) -> None:
        await side.request()
        await side.say(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome of it")
        await gone.wait()
        side.reset()

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            await client.send(GET)
            assert (await client.head())[1] == 200
            gone.set()
            with pytest.raises(CutError) as cut:
                await client.rest()
            assert not cut.value.partial.endswith(b"0\r\n\r\n")


async def test_a_client_of_http_1_0_sees_a_cut_as_a_broken_connection() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n"
    async with RawUpstream([RawAnswer(answer, then="close")]) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            with pytest.raises(CutError):
                await client.ask(b"GET /x HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("together", [True, False])
async def test_an_answer_that_nobody_asked_for_never_reaches_the_next_request(together: bool) -> None:  # noqa: FBT001
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    first_read = asyncio.Event()

    async def serve(side: ServerSide) -> None:
        await side.request()
        if side.number == 0:
            await side.say(OK, forged if together else b"")
            await first_read.wait()
            await side.say(b"" if together else forged)
        else:
            await side.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal")
        await side.request()

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            assert (await client.ask(GET)).body == b"ok"
            first_read.set()
            await eventually(lambda: proxy.data_plane.upstream.connections == 0)
            assert (await client.ask(GET)).body == b"real"


async def test_bytes_of_an_answer_behind_its_length_are_dropped_with_the_connection() -> None:
    answers = [RawAnswer(OK + b"more than was said"), RawAnswer(OK)]
    async with RawUpstream(answers) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            assert (await client.ask(GET)).body == b"ok"
            assert (await client.ask(GET)).body == b"ok"
        assert upstream.connections == 2


async def test_an_answer_before_the_body_was_read_passes() -> None:
    async def serve(side: ServerSide) -> None:
        await side.request()
        await side.say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await side.reader.read()

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            got = await client.ask(b"POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", b"x" * 10)
            assert (got.status, got.body) == (403, b"no")
            # What is left of the body belongs to this request, whoever reads it.
            await client.send(b"x" * 999_990, GET)
            assert (await client.answer()).status == 403
        assert len(upstream.connections) == 2
