"""How the client is answered when the upstream fails: the table of rules.md 4, on every kind of route."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.in_process import in_process
from support.ports import free_ports
from support.raw_http import RawAnswer, RawClient, Scripted, ServerSide, eventually, raw_client, scripted
from support.raw_upstream import RawAnswer as UpstreamAnswer
from support.raw_upstream import RawUpstream, silent_upstream
from support.upstream import RecordingUpstream

ORIGIN = b"https://app.example.com"
PAGE = b'{"OrgId": "o-1", "Url": "https://app.example.com/"}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ROUTES = {
    "page": "/rec/page",
    "bundle": "/rec/bundle?OrgId=o-1",
    "bundle 2": "/rec/bundle/v2?OrgId=o-1",
    "event": "/rec/event?OrgId=o-1",
    "other": "/rec/beacon",
}


async def post(client: RawClient, target: str, body: bytes = PAGE) -> RawAnswer:
    return await client.ask(
        b"POST %b HTTP/1.1\r\nHost: a\r\nOrigin: %b\r\nContent-Length: %d\r\n\r\n%b"
        % (target.encode(), ORIGIN, len(body), body)
    )


@asynccontextmanager
async def refusing() -> AsyncIterator[int]:
    yield free_ports(1)[0]


@asynccontextmanager
async def resetting() -> AsyncIterator[int]:
    async def serve(side: ServerSide) -> None:
        await side.request()
        side.reset()

    async with scripted(serve) as upstream:
        yield upstream.port


@asynccontextmanager
async def resetting_at_once() -> AsyncIterator[int]:
    async def serve(side: ServerSide) -> None:
        side.reset()

    async with scripted(serve) as upstream:
        yield upstream.port


@asynccontextmanager
async def closing() -> AsyncIterator[int]:
    async with RawUpstream([]) as upstream:
        yield upstream.port


@asynccontextmanager
async def cut_in_the_head() -> AsyncIterator[int]:
    async with RawUpstream([UpstreamAnswer(b"HTTP/1.1 200 OK\r\nContent-", then="close")] * len(ROUTES)) as upstream:
        yield upstream.port


@asynccontextmanager
async def speaking_plainly() -> AsyncIterator[int]:
    async def serve(side: ServerSide) -> None:
        await side.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await side.reader.read()

    async with scripted(serve) as upstream:
        yield upstream.port


@asynccontextmanager
async def accepting_no_more() -> AsyncIterator[int]:
    """A listener whose queue is full, so that a connection attempt is neither accepted nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        taken = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            taken.append(one)
        try:
            yield port
        finally:
            for one in taken:
                one.close()


FAILURES = {
    "refused": (refusing, {}, "upstream_refused", 502),
    "reset": (resetting, {}, "upstream_reset", 502),
    "reset at once": (resetting_at_once, {}, "upstream_reset upstream_refused", 502),
    "closed": (closing, {}, "upstream_reset", 502),
    "cut": (cut_in_the_head, {}, "upstream_cut", 502),
    "no TLS there": (speaking_plainly, {"scheme": "https"}, "upstream_tls", 502),
    "no such name": (refusing, {"host": "no-such-host.invalid"}, "upstream_dns", 502),
    "silent": (silent_upstream, {}, "upstream_timeout", 504),
    "silent in TLS": (silent_upstream, {"scheme": "https"}, "upstream_connect_timeout", 504),
    "no connection": (accepting_no_more, {}, "upstream_connect_timeout", 504),
}


AT_ONCE = {"page_retry": "0ms"}
EXPIRES = {"silent": "response", "silent in TLS": "connect", "no connection": "connect"}
"""The timeout that these wait for; no other one can be over first."""


@pytest.mark.parametrize("kind", FAILURES)
async def test_each_failure_has_its_status_on_each_route_and_cors_on_capture_routes(kind: str) -> None:
    make, url, cause, status = FAILURES[kind]
    async with make() as port:
        where = f"{url.get('scheme', 'http')}://{url.get('host', '127.0.0.1')}:{port}"
        timeouts = {EXPIRES[kind]: "300ms"} if kind in EXPIRES else {}
        async with in_process({"upstream": {"url": where, "timeouts": timeouts, **AT_ONCE}}) as proxy:
            async with asyncio.TaskGroup() as group:
                asked = {name: group.create_task(_ask(proxy.port, target)) for name, target in ROUTES.items()}
            # The kernel decides whether a reset comes while connecting or later.
            assert {name for (name,) in proxy.metrics.upstream_failures} <= set(cause.split())
            for name, task in asked.items():
                answer = task.result()
                assert answer.status == (502 if name in {"bundle", "bundle 2", "event"} else status), name
                document = json.loads(answer.body)
                assert document["status"] == answer.status
                assert answer.value("Content-Type") == b"application/problem+json"
                assert answer.value("Cache-Control") == b"no-store"
                assert answer.value("X-Request-Id")
                allowed = answer.value("Access-Control-Allow-Origin")
                if name == "other":
                    assert allowed is None
                else:
                    assert allowed == ORIGIN
                    assert answer.value("Access-Control-Allow-Credentials") == b"true"
                    assert answer.value("Vary") == b"Origin"
                    assert b"X-Request-Id" in (answer.value("Access-Control-Expose-Headers") or b"")
            ended = sum(proxy.metrics.recordings_ended.values())
            assert ended == 1, "only the page's recording ends: the others are tried again on a 502"


async def _ask(port: int, target: str) -> RawAnswer:
    async with raw_client(port) as client:
        return await post(client, target)


async def test_a_failed_request_leaves_the_connection_usable() -> None:
    async with RawUpstream([UpstreamAnswer(b"", then="close"), UpstreamAnswer(OK)]) as upstream:
        config = {"upstream": {"url": upstream.url, **AT_ONCE}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            assert (await post(client, "/rec/page")).status == 502
            assert (await post(client, "/rec/page")).status == 200


async def test_a_head_request_gets_a_failure_without_a_body() -> None:
    async with refusing() as port, in_process({"upstream": {"url": f"http://127.0.0.1:{port}"}}) as proxy:
        async with raw_client(proxy.port) as client:
            answer = await client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", head_only=True)
            assert answer.status == 502
            assert (await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 502


async def test_a_page_waits_for_an_upstream_that_comes_back() -> None:
    async with RecordingUpstream() as upstream:
        await upstream.refuse()
        config = {"upstream": {"url": upstream.url, "page_retry": "10s"}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            asked = asyncio.create_task(post(client, "/rec/page"))
            await eventually(lambda: proxy.metrics.in_flight == 1)
            await upstream.accept()
            assert (await asked).status == 200
        assert upstream.only().body == PAGE


async def test_a_page_that_waits_goes_to_the_upstream_that_a_reload_names() -> None:
    async with refusing() as port, RecordingUpstream() as upstream:
        first = {"upstream": {"url": f"http://127.0.0.1:{port}", "page_retry": "60s"}}
        async with in_process(first) as proxy, raw_client(proxy.port) as client:
            asked = asyncio.create_task(post(client, "/rec/page"))
            await eventually(lambda: proxy.metrics.in_flight == 1)
            proxy.reload({"upstream": {"url": f"{upstream.url}", "page_retry": "60s"}})
            assert (await asked).status == 200
        received = upstream.only()
        assert received.body == PAGE
        assert received.value("Host") == f"127.0.0.1:{upstream.port}"


async def test_only_pages_wait_for_an_upstream_that_is_down() -> None:
    async with refusing() as port:
        config = {"upstream": {"url": f"http://127.0.0.1:{port}", "page_retry": "60s"}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            for name in ("bundle", "event", "other"):
                assert (await post(client, ROUTES[name])).status == 502


async def test_a_page_gives_up_once_page_retry_is_over() -> None:
    async with refusing() as port:
        config = {"upstream": {"url": f"http://127.0.0.1:{port}", "page_retry": "200ms"}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            assert (await post(client, "/rec/page")).status == 502


async def test_an_answer_that_stops_half_way_is_broken_off_after_the_timeout() -> None:
    half = UpstreamAnswer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", then="hold")
    async with RawUpstream([half]) as upstream:
        config = {"upstream": {"url": upstream.url, "timeouts": {"response": "1s"}}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.head())[1] == 200
            rest = asyncio.create_task(client.closed())
            await rest
        await proxy.idle()
        assert proxy.metrics.upstream_failures == {("upstream_timeout",): 1}


@asynccontextmanager
async def stale_after_one(
    last_words: bytes = b"", *, streamed: bool = False
) -> AsyncIterator[tuple[Scripted, list[bytes]]]:
    """Answers the first request of each connection; closes the first connection when its second request comes."""
    heads: list[bytes] = []

    async def serve(side: ServerSide) -> None:
        heads.append(await side.whole_request())
        await side.say(OK)
        heads.append(await side.request() if side.number == 0 and streamed else await side.whole_request())
        if side.number:
            await side.say(OK)
            await side.request()
        elif last_words:
            await side.say(last_words)
        else:
            side.reset()

    async with scripted(serve) as upstream:
        yield upstream, heads


@pytest.mark.parametrize("target", ["/rec/page", "/rec/bundle?OrgId=o-1", "/rec/event?OrgId=o-1", "/rec/beacon"])
async def test_a_request_is_sent_again_when_the_kept_connection_turns_out_dead(target: str) -> None:
    async with stale_after_one() as (upstream, heads), in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            assert (await post(client, target)).status == 200
            assert (await post(client, target)).status == 200
        assert len(heads) == 3
        assert heads[1] == heads[2], "the same request, byte for byte"
        assert len(upstream.connections) == 2
        assert proxy.metrics.upstream_retries == {(): 1}


async def test_a_request_is_sent_again_only_once() -> None:
    async def serve(side: ServerSide) -> None:
        await side.request()
        if side.number == 0:
            await side.say(OK)
            await side.request()
        side.reset()

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            assert (await post(client, "/x")).status == 200
            assert (await post(client, "/x")).status == 502
        assert len(upstream.connections) == 2


async def test_a_request_is_not_sent_again_on_a_fresh_connection() -> None:
    async with resetting() as port, in_process({"upstream": {"url": f"http://127.0.0.1:{port}"}}) as proxy:
        async with raw_client(proxy.port) as client:
            assert (await post(client, "/x")).status == 502
        assert not proxy.metrics.upstream_retries


async def test_a_request_is_not_sent_again_once_a_byte_of_the_answer_came() -> None:
    async with stale_after_one(b"H") as (upstream, heads):
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            assert (await post(client, "/x")).status == 200
            assert (await post(client, "/x")).status == 502
            assert len(heads) == 2


async def test_a_body_that_was_streamed_is_not_sent_again() -> None:
    async with stale_after_one(streamed=True) as (upstream, heads):
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            assert (await post(client, "/x")).status == 200
            answer = await client.ask(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nbeginning")
            assert answer.status == 502
        assert len(heads) == 2


async def test_an_idle_connection_is_dropped_before_the_upstream_drops_it() -> None:
    async with RecordingUpstream() as upstream:
        config = {"upstream": {"url": upstream.url, "timeouts": {"idle": "100ms"}}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            assert (await post(client, "/rec/page")).status == 200
            await eventually(lambda: proxy.data_plane.upstream.connections == 0)
            assert (await post(client, "/rec/page")).status == 200
        assert upstream.connections == 2


async def test_requests_wait_for_a_place_when_all_connections_are_in_use() -> None:
    async with RecordingUpstream() as upstream:
        config = {"upstream": {"url": upstream.url, "max_connections": 2}}
        async with in_process(config) as proxy:
            upstream.hold()
            asked = [asyncio.create_task(_ask(proxy.port, "/rec/page")) for _ in range(6)]
            await upstream.arrived(2)
            await eventually(lambda: proxy.metrics.in_flight == 6)
            assert proxy.data_plane.upstream.connections == 2
            upstream.release()
            assert [answer.status for answer in await asyncio.gather(*asked)] == [200] * 6
        assert upstream.connections == 2


async def test_a_request_that_gets_no_place_in_time_is_told_so() -> None:
    async with RecordingUpstream() as upstream:
        config = {"upstream": {"url": upstream.url, "max_connections": 1, "timeouts": {"connect": "1s"}}}
        async with in_process(config) as proxy:
            upstream.hold()
            first = asyncio.create_task(_ask(proxy.port, "/rec/page"))
            await upstream.arrived(1)
            page, bundle = await asyncio.gather(_ask(proxy.port, "/rec/page"), _ask(proxy.port, "/rec/bundle"))
            assert (page.status, bundle.status) == (503, 502)
            upstream.release()
            assert (await first).status == 200
            assert (await _ask(proxy.port, "/rec/page")).status == 200


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_a_client_that_goes_away_ends_an_exchange_that_only_reads(method: bytes) -> None:
    async with (
        RecordingUpstream(allow_unexpected=True) as upstream,
        in_process({"upstream": {"url": upstream.url}}) as proxy,
    ):
        upstream.hold()
        async with raw_client(proxy.port) as client:
            await client.send(b"%b /s/x HTTP/1.1\r\nHost: a\r\n\r\n" % method)
            await upstream.arrived(1)
            client.abort()
            await proxy.idle()
            assert proxy.data_plane.upstream.connections == 0
        upstream.release()


async def test_a_client_that_goes_away_while_it_waits_for_a_place_leaves_no_gap() -> None:
    async with RecordingUpstream() as upstream:
        config = {"upstream": {"url": upstream.url, "max_connections": 1}}
        async with in_process(config) as proxy:
            upstream.hold()
            first = asyncio.create_task(_ask(proxy.port, "/rec/page"))
            await upstream.arrived(1)
            async with raw_client(proxy.port) as impatient:
                await impatient.send(b"GET /s/x HTTP/1.1\r\nHost: a\r\n\r\n")
                await eventually(lambda: proxy.metrics.in_flight == 2)
            await eventually(lambda: proxy.metrics.in_flight == 1)
            upstream.release()
            assert (await first).status == 200
            assert (await _ask(proxy.port, "/rec/page")).status == 200
        assert upstream.connections == 1


async def test_a_client_that_goes_away_in_the_middle_of_its_body_ends_the_exchange() -> None:
    heads: list[bytes] = []
    ended = asyncio.Event()

    async def serve(side: ServerSide) -> None:
        heads.append(await side.request())
        await side.reader.read()
        ended.set()

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome")
            await eventually(lambda: bool(heads))
        async with asyncio.timeout(120):
            await ended.wait()
        await proxy.idle()


async def test_a_page_that_is_no_json_object_is_400_with_cors_and_never_goes_up() -> None:
    async with RecordingUpstream() as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            for body in (b"", b"[]", b"null", b"1", b'"text"', b"{", b'{"OrgId": "o"', b"\xff\xfe{}", b"{}x", b"NaN"):
                answer = await post(client, "/rec/page", body)
                assert answer.status == 400, body
                assert answer.value("Access-Control-Allow-Origin") == ORIGIN
                assert json.loads(answer.body)["status"] == 400
                assert len(body) < 2 or body not in answer.body
        assert not upstream.received
        assert proxy.metrics.requests["page", "4xx"] == 10
