"""What happens around a refused request. tests/integration/hostile shows which requests are refused."""

from __future__ import annotations

import asyncio

import pytest

from support.in_process import in_process
from support.raw_http import raw_client
from support.upstream import RecordingUpstream, status

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


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
