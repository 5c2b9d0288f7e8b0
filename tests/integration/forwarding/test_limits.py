"""What one client may cost: sizes, times and connections (``server`` in config/fsproxy.yaml)."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from support.in_process import InProcessProxy, in_process
from support.raw_http import CutError, RawAnswer, RawClient, eventually, raw_client
from support.upstream import RecordingUpstream, status

ORIGIN = b"https://app.example.com"
TARGETS = ["/rec/page", "/rec/bundle?OrgId=o-1", "/rec/event?OrgId=o-1", "/v2/events", "/client/event", "/rec/beacon"]
CAPTURE = [target for target in TARGETS if target != "/rec/beacon"]
LIMIT = 4096


def of_size(size: int) -> bytes:
    """Return a body of so many bytes that every route accepts."""
    start, end = (
        b'{"OrgId": "o-1", "Url": "https://app.example.com/", "Seq": 1, "When": 0, "Evts": [], "name": "E", "x": "',
        b'"}',
    )
    return start + b"x" * (size - len(start) - len(end)) + end


def anything() -> RecordingUpstream:
    return RecordingUpstream(answer=status(200, b"{}"), allow_unexpected=True)


def head(target: str, framing: bytes, *more: bytes) -> bytes:
    lines = (b"Host: a", b"Origin: " + ORIGIN, framing, *more)
    return b"POST %b HTTP/1.1\r\n%b\r\n\r\n" % (target.encode(), b"\r\n".join(lines))


def chunked(body: bytes) -> bytes:
    parts = (body[at : at + 1000] for at in range(0, len(body), 1000))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def is_refusal(answer: RawAnswer, code: int, target: str) -> None:
    assert (answer.status, json.loads(answer.body).get("status")) == (code, code)
    allowed = None if target == "/rec/beacon" else ORIGIN
    assert answer.value("Access-Control-Allow-Origin") == allowed


@pytest.mark.parametrize("target", TARGETS)
async def test_a_body_over_max_body_is_413_and_one_at_the_limit_passes(target: str) -> None:
    async with anything() as upstream:
        async with in_process({"upstream": {"url": upstream.url}, "server": {"max_body": LIMIT}}) as proxy:
            for send in (_with_length, _in_chunks, _in_slow_chunks):
                async with raw_client(proxy.port) as client:
                    answer = await send(proxy, client, target, of_size(LIMIT))
                    assert answer.status == 200, send
                assert upstream.received.pop().body == of_size(LIMIT)
                async with raw_client(proxy.port) as client:
                    answer = await send(proxy, client, target, of_size(LIMIT + 1))
                    is_refusal(answer, 413, target)
                assert not upstream.received, send


async def _with_length(proxy: InProcessProxy, client: RawClient, target: str, body: bytes) -> RawAnswer:
    return await client.ask(head(target, b"Content-Length: %d" % len(body)), body)


async def _in_chunks(proxy: InProcessProxy, client: RawClient, target: str, body: bytes) -> RawAnswer:
    return await client.ask(head(target, b"Transfer-Encoding: chunked"), chunked(body))


async def _in_slow_chunks(proxy: InProcessProxy, client: RawClient, target: str, body: bytes) -> RawAnswer:
    framed = chunked(body)
    await client.send(head(target, b"Transfer-Encoding: chunked"), framed[:100])
    await eventually(lambda: proxy.metrics.in_flight == 1)
    return await client.ask(framed[100:])


@pytest.mark.parametrize("target", TARGETS)
async def test_a_client_that_asks_first_is_refused_before_it_sends_too_much(target: str) -> None:
    async with anything() as upstream:
        config = {"upstream": {"url": upstream.url}, "server": {"max_body": LIMIT}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            await client.send(head(target, b"Content-Length: 5000", b"Expect: 100-continue"))
            assert (await client.head())[1] == 413
        assert not upstream.received


async def test_a_client_that_is_still_sending_sees_the_refusal_and_nothing_after_it() -> None:
    async with anything() as upstream:
        config = {"upstream": {"url": upstream.url}, "server": {"max_body": LIMIT}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            size = 400_000
            await client.send(head("/rec/page", b"Content-Length: %d" % size), b"x" * 1000)
            answer = await client.answer()
            assert (answer.status, answer.value("Connection")) == (413, b"close")
            await client.send(b"x" * (size - 1000))
            assert await client.closed()


BOMB = gzip.compress(of_size(LIMIT + 1), mtime=0)
FITS = gzip.compress(of_size(LIMIT), mtime=0)


@pytest.mark.parametrize(
    "target",
    [
        *CAPTURE,
    ],
)
async def test_a_body_over_max_decompressed_is_413_and_one_at_the_limit_passes(target: str) -> None:
    async with anything() as upstream:
        config = {"upstream": {"url": upstream.url}, "server": {"max_decompressed": LIMIT}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            lengths = (b"Content-Length: %d", b"Content-Encoding: gzip")
            fits = await client.ask(head(target, lengths[0] % len(FITS), lengths[1]), FITS)
            assert fits.status == 200
            assert upstream.received.pop().body == FITS
            is_refusal(await client.ask(head(target, lengths[0] % len(BOMB), lengths[1]), BOMB), 413, target)
        assert not upstream.received


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
async def test_a_page_over_max_page_is_413_and_one_at_the_limit_passes(mode: str) -> None:
    async with anything() as upstream:
        config = {"upstream": {"url": upstream.url}, "mode": mode, "server": {"max_page": LIMIT}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            for body, more in ((of_size(LIMIT), ()), (FITS, (b"Content-Encoding: gzip",))):
                answer = await client.ask(head("/rec/page", b"Content-Length: %d" % len(body), *more), body)
                assert (answer.status, upstream.received.pop().body) == (200, body)
            answer = await client.ask(
                head("/rec/page", b"Content-Length: %d" % len(BOMB), b"Content-Encoding: gzip"), BOMB
            )
            is_refusal(answer, 413, "/rec/page")
            for send in (_with_length, _in_chunks):
                async with raw_client(proxy.port) as other:
                    is_refusal(await send(proxy, other, "/rec/page", of_size(LIMIT + 1)), 413, "/rec/page")
            assert not upstream.received
            large = of_size(LIMIT + 1)
            assert (
                await client.ask(head("/rec/bundle?OrgId=o-1", b"Content-Length: %d" % len(large)), large)
            ).status == 200


async def test_bypass_judges_no_page_and_so_bounds_none_by_max_page() -> None:
    async with anything() as upstream:
        config = {"upstream": {"url": upstream.url}, "mode": "bypass", "server": {"max_page": LIMIT}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            large = of_size(LIMIT + 1)
            assert (await client.ask(head("/rec/page", b"Content-Length: %d" % len(large)), large)).status == 200


async def test_what_is_not_looked_into_may_be_as_large_as_it_likes_once_decompressed() -> None:
    async with anything() as upstream:
        config = {"upstream": {"url": upstream.url}, "server": {"max_decompressed": 100}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            framing = b"Content-Length: %d" % len(BOMB)
            assert (await client.ask(head("/rec/beacon", framing, b"Content-Encoding: gzip"), BOMB)).status == 200
        assert upstream.only().body == BOMB


async def _timed(server: dict[str, Any], *sent: bytes) -> tuple[RawAnswer | None, InProcessProxy]:
    """Return what comes back, if anything, before the proxy ends the connection."""
    async with anything() as upstream, in_process({"upstream": {"url": upstream.url}, "server": server}) as proxy:
        async with raw_client(proxy.port) as client:
            await client.send(*sent)
            try:
                answer: RawAnswer | None = await client.answer()
            except CutError:
                answer = None
            assert await client.closed()
        assert not upstream.received
        return answer, proxy


async def test_a_head_that_takes_too_long_ends_the_connection() -> None:
    answer, _ = await _timed({"header_timeout": "200ms"}, b"GET / HTTP/1.1\r\nHost:")
    assert answer is None


async def test_a_head_that_keeps_dripping_ends_the_connection_too() -> None:
    config = {"upstream": {"url": "http://127.0.0.1:9"}, "server": {"header_timeout": "300ms"}}
    async with in_process(config) as proxy, raw_client(proxy.port) as client:
        await client.send(b"GET / HTTP/1.1\r\n")

        async def drip() -> None:
            while True:
                await client.send(b"X-A: b\r\n")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert await client.closed()
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


async def test_a_connection_that_says_nothing_ends_after_keepalive() -> None:
    answer, _ = await _timed({"keepalive": "200ms"})
    assert answer is None


async def test_a_connection_is_kept_for_keepalive_and_then_ended() -> None:
    async with anything() as upstream:
        config = {"upstream": {"url": upstream.url}, "server": {"keepalive": "200ms"}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            assert (await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
            assert (await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
            assert await client.closed()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
async def test_a_body_that_stops_is_408_and_on_routes_that_retry_502(target: str, framing: bytes) -> None:
    answer, _ = await _timed({"body_timeout": "200ms"}, head(target, framing), b"5\r\nbegin")
    assert answer is not None
    is_refusal(answer, 502 if "bundle" in target or "rec/event" in target else 408, target)
    assert answer.value("Connection") == b"close"


async def test_a_body_that_is_read_must_arrive_in_time_even_if_it_keeps_dripping() -> None:
    config = {"upstream": {"url": "http://127.0.0.1:9"}, "server": {"body_timeout": "300ms"}}
    async with in_process(config) as proxy, raw_client(proxy.port) as client:
        await client.send(head("/rec/page", b"Content-Length: 100000"))

        async def drip() -> None:
            while True:
                await client.send(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert (await client.answer()).status == 408
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


async def test_a_body_that_is_streamed_may_take_longer_than_body_timeout_as_a_whole() -> None:
    async with anything() as upstream:
        config = {"upstream": {"url": upstream.url}, "server": {"body_timeout": "400ms"}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            await client.send(head("/rec/beacon", b"Content-Length: 12"))
            for _ in range(12):
                await asyncio.sleep(0.06)
                await client.send(b"x")
            assert (await client.answer()).status == 200
        assert upstream.only().body == b"x" * 12


@pytest.mark.parametrize(
    "lines",
    [
        b"X-A: %b\r\n" % (b"a" * 3000),
        b"X-A: %b\r\n" % (b"a" * 500) * 6,
        b"X-%d: 1\r\n" * 300 % tuple(range(300)),
    ],
)
@pytest.mark.parametrize("complete", [True, False])
async def test_a_head_over_max_header_is_refused_and_never_goes_up(lines: bytes, complete: bool) -> None:  # noqa: FBT001
    sent = b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + (b"\r\n" if complete else b"")
    answer, _ = await _timed({"max_header": 2048, "header_timeout": "500ms"}, sent)
    if not complete and answer is None:
        return  # not over any limit that is known before its end
    assert answer is not None
    assert answer.status == 431
    assert answer.value("Connection") == b"close"


async def test_a_head_within_max_header_passes() -> None:
    async with anything() as upstream:
        config = {"upstream": {"url": upstream.url}, "server": {"max_header": 2048}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            answer = await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: %b\r\n\r\n" % (b"a" * 1900))
            assert answer.status == 200
        assert upstream.only().value("X-A") == "a" * 1900


async def test_connections_over_the_limit_are_answered_and_closed() -> None:
    async with anything() as upstream:
        config = {"upstream": {"url": upstream.url}, "server": {"max_connections": 10}}
        async with in_process(config) as proxy:
            held = [raw_client(proxy.port) for _ in range(10)]
            for one in held:
                await one.__aenter__()
            await eventually(lambda: len(proxy.server) == 10)
            for target in TARGETS:
                async with raw_client(proxy.port) as client:
                    body = of_size(200)
                    answer = await client.ask(head(target, b"Content-Length: 200"), body)
                    is_refusal(answer, 502 if "bundle" in target or "rec/event" in target else 503, target)
                    assert answer.value("Connection") == b"close"
                    assert await client.closed()
                await eventually(lambda: len(proxy.server) == 10)
            await held.pop().__aexit__(None, None, None)
            await eventually(lambda: len(proxy.server) == 9)
            async with raw_client(proxy.port) as client:
                assert (await client.ask(head("/rec/page", b"Content-Length: 200"), of_size(200))).status == 200
            for one in held:
                await one.__aexit__(None, None, None)
        assert len(upstream.received) == 1


async def test_connections_far_over_the_limit_are_dropped() -> None:
    config = {"upstream": {"url": "http://127.0.0.1:9"}, "server": {"max_connections": 10}}
    async with in_process(config) as proxy:
        held = [raw_client(proxy.port) for _ in range(11)]
        for one in held:
            await one.__aenter__()
        await eventually(lambda: len(proxy.server) == 11)
        async with raw_client(proxy.port) as client:
            assert await client.closed()
        for one in held:
            await one.__aexit__(None, None, None)
