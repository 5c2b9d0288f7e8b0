"""A real process that stops: requests in flight finish, idle connections close, the exit status is 0 (rules.md 4)."""

from __future__ import annotations

import asyncio
import json
import signal

from support.leaving import Way, send_and_leave
from support.proxy import RunningProxy, running_proxy
from support.raw_http import CutError, ServerSide, eventually, raw_client, scripted
from support.upstream import RecordingUpstream

ORIGIN = b"https://app.example.com"
PAGE = b'{"OrgId": "o-1", "Url": "https://app.example.com/"}'


def post(target: str, body: bytes = PAGE, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"POST %b HTTP/1.1\r\nHost: a\r\nOrigin: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        target.encode(),
        ORIGIN,
        size,
        body,
    )


async def exited(proxy: RunningProxy) -> int:
    async with asyncio.timeout(120):
        return await proxy.process.wait()


async def refuses(port: int) -> None:
    """Wait until no new connection is accepted."""
    async with asyncio.timeout(120):
        while True:
            try:
                async with raw_client(port) as client:
                    await client.closed()
            except ConnectionRefusedError:
                return


async def test_what_is_in_flight_finishes_what_is_idle_ends_and_the_exit_status_is_0() -> None:
    async with RecordingUpstream() as upstream, running_proxy({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as idle, raw_client(proxy.port) as busy, raw_client(proxy.port) as slow:
            assert (await idle.ask(post("/rec/page"))).status == 200
            upstream.hold()
            await busy.send(post("/rec/page"))
            await upstream.arrived(2)
            await slow.send(post("/rec/bundle", b"", length=10))
            proxy.signal(signal.SIGTERM)
            assert await idle.closed(), "an idle connection ends at once"
            await refuses(proxy.port)
            proxy.signal(signal.SIGTERM)
            proxy.signal(signal.SIGINT)
            upstream.release()
            answer = await busy.answer()
            assert (answer.status, json.loads(answer.body)["IsNewSession"]) == (200, True)
            assert (await slow.ask(b"x" * 10)).status == 200
            assert await busy.closed()
        assert await exited(proxy) == 0
        assert "Traceback" not in proxy.log_text()


async def test_nothing_in_flight_is_the_end_at_once() -> None:
    async with RecordingUpstream() as upstream:
        config = {"upstream": {"url": upstream.url}, "server": {"drain": "60s"}}
        async with running_proxy(config) as proxy, raw_client(proxy.port) as idle:
            assert (await idle.ask(post("/rec/page"))).status == 200
            proxy.signal(signal.SIGTERM)
            assert await exited(proxy) == 0


async def test_what_was_sent_before_the_signal_goes_up_though_its_connection_was_not_accepted_yet() -> None:
    async with RecordingUpstream() as upstream, running_proxy({"upstream": {"url": upstream.url}}) as proxy:
        proxy.signal(signal.SIGSTOP)
        for number in range(40):
            way = Way.RESET if number % 2 else Way.CLOSE
            await send_and_leave(proxy.port, post("/rec/bundle", b"%d" % number), way)
        proxy.signal(signal.SIGTERM)
        proxy.signal(signal.SIGCONT)
        received = await upstream.arrived(40, 120)
        assert sorted(int(one.body) for one in received) == list(range(40))
        assert await exited(proxy) == 0


async def test_a_large_answer_in_flight_arrives_whole_however_slowly_it_is_read() -> None:
    size = 8_000_000

    async def serve(side: ServerSide) -> None:
        await side.request()
        await side.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, b"x" * size)
        await side.request()

    async with scripted(serve) as upstream, running_proxy({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port, limit=1000) as client:
            await client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.head())[1] == 200
            # The client stops reading here, because its buffer is full.
            proxy.signal(signal.SIGTERM)
            await refuses(proxy.port)
            total = 0
            async with asyncio.timeout(120):
                while total < size and (part := await client.reader.read(100_000)):
                    total += len(part)
            assert total == size
        assert await exited(proxy) == 0


async def test_when_the_time_to_drain_is_over_what_was_not_answered_is_told_so() -> None:
    async def serve(side: ServerSide) -> None:
        head = await side.request()
        if b" /half " in head:
            await side.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await side.reader.read()

    async with scripted(serve) as upstream:
        config = {"upstream": {"url": upstream.url}, "server": {"drain": "300ms"}}
        async with running_proxy(config) as proxy:
            expected = {"/rec/page": 503, "/rec/bundle": 502, "/rec/event": 502, "/other": 503}
            clients = {target: raw_client(proxy.port) for target in expected}
            opened = {target: await client.__aenter__() for target, client in clients.items()}
            for target, client in opened.items():
                await client.send(post(target))
            async with raw_client(proxy.port) as half, raw_client(proxy.port) as page, raw_client(proxy.port) as sent:
                await half.send(b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
                assert (await half.head())[1] == 200
                await page.send(post("/rec/page", b"{", length=100))
                await sent.send(post("/rec/bundle", b"{", length=100))
                await eventually(lambda: len(upstream.connections) == 5)
                proxy.signal(signal.SIGTERM)
                for target, client in opened.items():
                    answer = await client.answer()
                    assert answer.status == expected[target], target
                    allowed = None if target == "/other" else ORIGIN
                    assert answer.value("Access-Control-Allow-Origin") == allowed
                assert (await page.answer()).status == 503
                assert (await sent.answer()).status == 502
                try:
                    rest = await half.rest()
                except CutError as cut:
                    rest = cut.partial
                assert rest in {b"", b"half"}, "six of its ten bytes never come"
            for client in clients.values():
                await client.__aexit__(None, None, None)
            assert await exited(proxy) == 0
            assert "Traceback" not in proxy.log_text()
