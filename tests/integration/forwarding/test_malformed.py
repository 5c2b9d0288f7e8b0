"""Requests that are not HTTP, or are two things at once: refused, closed, and the upstream never touched."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from support.in_process import in_process
from support.raw_http import CutError, RawAnswer, raw_client
from support.upstream import RecordingUpstream, status

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"

SHAPES = {
    "length and chunked": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 44\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 38\r\n\r\n" + SMUGGLED,
    "two equal lengths": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" + SMUGGLED,
    "a list of lengths": POST + b"Content-Length: 3, 3\r\n\r\nabc" + SMUGGLED,
    "a length with a sign": POST + b"Content-Length: +3\r\n\r\nabc" + SMUGGLED,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + SMUGGLED,
    "a hexadecimal length": POST + b"Content-Length: 0x3\r\n\r\nabc" + SMUGGLED,
    "a length with an underscore": POST + b"Content-Length: 3_0\r\n\r\nabc" + SMUGGLED,
    "an empty length": POST + b"Content-Length: \r\n\r\n" + SMUGGLED,
    "a length too large to count": POST + b"Content-Length: 99999999999999999999999999\r\n\r\n" + SMUGGLED,
    "a length in other digits": POST + b"Content-Length: \xd9\xa3\r\n\r\nabc" + SMUGGLED,
    "chunked is not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "identity": POST + b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc" + SMUGGLED,
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a coding beside chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a vertical tab before chunked": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a folded line": POST + b"X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + SMUGGLED,
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a folded first line": b"POST /x HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n" + SMUGGLED,
    "lines that end in LF alone": b"POST /x HTTP/1.1\nHost: a\nContent-Length: 0\n\n" + SMUGGLED,
    "a header that ends in LF alone": POST + b"X-A: b\nContent-Length: 0\r\n\r\n" + SMUGGLED,
    "CR in a value": POST + b"X-A: b\rContent-Length: 3\r\n\r\n" + SMUGGLED,
    "NUL in a value": POST + b"X-A: b\x00c\r\n\r\n" + SMUGGLED,
    "NUL in a name": POST + b"X-\x00A: b\r\n\r\n" + SMUGGLED,
    "a line without a colon": POST + b"no colon here\r\n\r\n" + SMUGGLED,
    "an empty name": POST + b": b\r\n\r\n" + SMUGGLED,
    "a bad chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nZ\r\nabc\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk size with a sign": POST + b"Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk size with a prefix": POST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk size that wraps": POST
    + b"Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n"
    + SMUGGLED,
    "a chunk that is longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n" + SMUGGLED,
    "chunk lines that end in LF": POST + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n" + SMUGGLED,
    "chunked in HTTP/1.0": b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "no version": b"GET /x\r\n\r\n" + SMUGGLED,
    "a version of its own": b"GET /x HTTP/9.7\r\nHost: a\r\n\r\n" + SMUGGLED,
    "another protocol": b"GET /x RTSP/1.0\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a method of no token": b"G(T /x HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target with a space": b"GET /x y HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target with a control": b"GET /x\x01 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "two hosts": b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + SMUGGLED,
    "no host": b"GET /x HTTP/1.1\r\n\r\n" + SMUGGLED,
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200,
    "a proxy's line": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + SMUGGLED,
    "nothing but line ends": b"\r\n" * 10 + b"\x00\r\n\r\n",
}


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("shape", SHAPES)
async def test_what_can_be_read_in_two_ways_is_refused(shape: str, pieces: int) -> None:
    sent = SHAPES[shape]
    async with RecordingUpstream(answer=status(200), allow_unexpected=True) as upstream:
        config = {"upstream": {"url": upstream.url}, "server": {"header_timeout": "300ms", "keepalive": "300ms"}}
        async with in_process(config) as proxy:
            async with raw_client(proxy.port) as client:
                with contextlib.suppress(ConnectionError):  # it may be refused before it is all sent
                    for at in range(pieces):
                        await client.send(sent[at * len(sent) // pieces : (at + 1) * len(sent) // pieces])
                        await asyncio.sleep(0)
                try:
                    answers: list[RawAnswer] = [await client.answer()]
                except CutError:
                    answers = []
                assert all(400 <= answer.status < 500 for answer in answers)
                assert await client.closed(), "the connection is of no use any more"
            await proxy.idle()
        targets = [one.target for one in upstream.received]
        assert targets == [], "the upstream is never touched"


async def test_a_malformed_head_says_400_and_is_counted() -> None:
    async with in_process({"upstream": {"url": "http://127.0.0.1:9"}}) as proxy:
        async with raw_client(proxy.port) as client:
            answer = await client.ask(b"not http\r\n\r\n")
            assert (answer.status, answer.value("Connection")) == (400, b"close")
            assert answer.value("Content-Type") == b"application/problem+json"
            assert b"not http" not in answer.body
            assert await client.closed()
        assert proxy.metrics.malformed == {(): 1}


async def test_a_request_behind_a_good_one_that_is_malformed_is_refused() -> None:
    async with RecordingUpstream(answer=status(200), allow_unexpected=True) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            assert (await client.ask(b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
            assert (await client.ask(b"bad\r\n\r\n")).status == 400
            assert await client.closed()
        assert [one.target for one in upstream.received] == ["/good"]


@pytest.mark.parametrize("target", ["/rec/page", "/rec/bundle", "/rec/beacon"])
async def test_a_body_whose_framing_breaks_later_is_400_and_nothing_whole_goes_up(target: str) -> None:
    async with RecordingUpstream(answer=status(200), allow_unexpected=True) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            await client.send(
                b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" % target.encode()
            )
            await asyncio.sleep(0.02)
            assert (await client.ask(b"nonsense\r\n\r\n")).status == 400
            assert await client.closed()
        assert not upstream.received


async def test_what_follows_connection_close_never_goes_up() -> None:
    async with RecordingUpstream(answer=status(200), allow_unexpected=True) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            await client.ask(b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", SMUGGLED)
            assert await client.closed()
        assert "/smuggled" not in [one.target for one in upstream.received]


async def test_a_flood_of_pipelined_requests_is_answered_in_order() -> None:
    async with RecordingUpstream(answer=status(200, b"ok"), allow_unexpected=True) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(300))
            sending = asyncio.create_task(client.send(requests))
            for _ in range(300):
                assert (await client.answer()).status == 200
            await sending
        assert [one.target for one in upstream.received] == [f"/{number}" for number in range(300)]
