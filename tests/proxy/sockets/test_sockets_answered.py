"""Sockets that have no upstream, or lose it, or are stopped: what is said in frames, and when they are closed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from fsproxy.core.wire.sockets.websocket import Opcode, frame
from support.raw_http import RawClient, eventually, raw_client
from support.sockets import MOVE, Setting, bundle_frame, event, hear, page_frame, say, setting
from support.upstream import Received, RecordingUpstream, reset, status

UPGRADE = (
    b"GET /rec/sock HTTP/1.1\r\nHost: rs.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
QUICK = {"upstream": {"page_retry": "100ms"}}


async def closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code with which the socket is closed; fails the test where anything else comes."""
    message = await socket.receive(timeout=120)
    assert message.type is WSMsgType.CLOSE, message
    code: int | None = message.data
    return code


def wrong_accept(request: web.BaseRequest, received: Received) -> Awaitable[web.StreamResponse]:
    return answer_101(request, {"Sec-WebSocket-Accept": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="})


def no_upgrade(request: web.BaseRequest, received: Received) -> Awaitable[web.StreamResponse]:
    return answer_101(request, {"Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Upgrade": "h9"})


async def answer_101(request: web.BaseRequest, headers: dict[str, str]) -> web.StreamResponse:
    answer = web.Response(status=101, headers={"Connection": "Upgrade", "Upgrade": "websocket", **headers})
    await answer.prepare(request)
    return answer


Answer = Callable[[web.BaseRequest, Received], Awaitable[web.StreamResponse]]
DECLINING = {
    "202": status(202, b'{"reason_code":3}'),
    "403": status(403, b"no"),
    "404": status(404, b"no" * 100_000),
    "503": status(503),
    "a wrong accept": wrong_accept,
    "another protocol": no_upgrade,
    "a reset": reset,
}


@pytest.mark.parametrize("mode", ["judge", "tunnel", "bypass"])
async def test_while_the_upstream_is_down_a_bundle_gets_502_and_a_close(tmp_path: Path, mode: str) -> None:
    """So the recorder keeps the bundle and comes again; a refused handshake would make it wait for ever."""
    config = {**QUICK, **({"mode": mode} if mode == "bypass" else {"socket": mode})}
    async with setting(tmp_path, config) as it:
        await it.upstream.refuse()
        async with it.connect() as socket:
            answer = await say(socket, bundle_frame(MOVE, seq=9))
            assert (answer["Cmd"], answer["Seq"], answer["Fail"]["Status"]) == (3, 9, 502)
            assert await closed(socket) == 1001
        await eventually(lambda: not it.proxy.metrics.in_flight)
        await it.upstream.accept()
        async with it.connect() as socket:
            assert (await say(socket, bundle_frame(MOVE, seq=10)))["Cmd"] == 5
        await it.proxy.idle()
    bundle, failed, *_ = it.proxy.audit()
    assert (bundle["fsproxy.error"], bundle["http.response.status_code"]) == ("upstream_refused", 502)
    assert failed["http.response.status_code"] == 101
    assert it.proxy.metrics.recordings_ended == {}


async def test_a_page_waits_for_an_upstream_that_comes_back_and_the_socket_goes_on(tmp_path: Path) -> None:
    async with setting(tmp_path, {"upstream": {"page_retry": "60s"}}) as it:
        await it.upstream.refuse()
        async with it.connect() as socket:
            await socket.send_str(page_frame(1))
            await eventually(lambda: it.proxy.metrics.upstream_failures[("upstream_refused",)] > 0)
            await it.upstream.accept()
            assert (await hear(socket))["Cmd"] == 4
            assert (await say(socket, bundle_frame(MOVE)))["Cmd"] == 5
        await it.proxy.idle()
        assert len(it.backend.texts) == 2
    assert [line["fsproxy.decision"] for line in it.proxy.audit()][:2] == ["captured", "forwarded"]


async def test_a_page_that_waits_goes_to_the_upstream_that_a_reload_names(tmp_path: Path) -> None:
    retry = {"page_retry": "60s"}
    async with setting(tmp_path, {"upstream": retry}) as it, RecordingUpstream() as another:
        another.on("GET", "/rec/sock", it.backend.answer)
        await it.upstream.refuse()
        async with it.connect() as socket:
            await socket.send_str(page_frame(1))
            await eventually(lambda: it.proxy.metrics.upstream_failures[("upstream_refused",)] > 0)
            it.reload({"upstream": {**retry, "url": another.url}})
            assert (await hear(socket))["Cmd"] == 4
    assert len(it.backend.texts) == 1


async def test_a_page_for_which_no_upstream_comes_gets_502_and_gives_its_unit_back(tmp_path: Path) -> None:
    async with setting(tmp_path, {**QUICK, "filters": {"quota": {"sessions": 1}}}) as it:
        await it.upstream.refuse()
        async with it.connect() as socket:
            assert (await say(socket, page_frame(3)))["Fail"]["Status"] == 502
            assert await closed(socket) == 1001
        await it.proxy.idle()
        assert it.used() == 0
        assert it.proxy.metrics.recordings_ended == {("upstream_refused",): 1}
    assert it.proxy.audit()[0]["fsproxy.error"] == "upstream_refused"


async def test_a_page_behind_a_leftover_bundle_still_waits_for_the_upstream(tmp_path: Path) -> None:
    """Recorders send what is left of the page before first, and the page some milliseconds later (wire.md 7)."""
    async with setting(tmp_path, {"upstream": {"page_retry": "60s"}}) as it:
        await it.upstream.refuse()
        async with it.connect() as socket:
            assert (await say(socket, bundle_frame(MOVE, seq=1)))["Fail"]["Status"] == 502
            await socket.send_str(page_frame(2))
            await it.upstream.accept()
            assert (await hear(socket))["Cmd"] == 4


@pytest.mark.parametrize("mode", ["judge", "tunnel"])
@pytest.mark.parametrize("answer", DECLINING.values(), ids=DECLINING)
async def test_an_upgrade_that_the_upstream_declines_is_answered_in_frames(
    tmp_path: Path, answer: Answer, mode: str
) -> None:
    async with setting(tmp_path, {**QUICK, "socket": mode}) as it:
        it.upstream.on("GET", "/rec/sock", answer)
        async with it.connect() as socket:
            assert (await say(socket, bundle_frame(MOVE, cmd=6, seq=4)))["Fail"]["Status"] == 502
            assert (await say(socket, page_frame(5)))["Fail"]["Status"] == 502
            assert await closed(socket) == 1001
        it.upstream.on("GET", "/rec/sock", it.backend.answer)
        async with it.connect() as socket:
            assert (await say(socket, page_frame(6)))["Cmd"] == 4
        await it.proxy.idle()
        await eventually(lambda: it.proxy.data_plane.upstream.connections == 0)
    error = it.proxy.audit()[0]["fsproxy.error"]
    assert error == ("upstream_reset" if answer is reset else "upstream_declined")


async def test_an_upstream_that_declined_once_is_asked_again_for_the_next_frame(tmp_path: Path) -> None:
    async with setting(tmp_path) as it:
        it.upstream.on("GET", "/rec/sock", status(503))
        async with it.connect() as socket:
            it.upstream.on("GET", "/rec/sock", it.backend.answer)
            assert (await say(socket, page_frame(5)))["Cmd"] == 4
            assert (await say(socket, bundle_frame(MOVE)))["Cmd"] == 5


@pytest.mark.parametrize("mode", ["enforce", "bypass"])
@pytest.mark.parametrize(
    ("line", "instead", "answered"),
    [
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ=", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25jZR==", 400),
        (b"Version: 13", b"Version: 8", 426),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 426),
    ],
)
async def test_a_handshake_that_nobody_could_complete_is_answered_over_http(
    tmp_path: Path, line: bytes, instead: bytes, answered: int, mode: str
) -> None:
    async with setting(tmp_path, {"mode": mode}) as it, raw_client(it.proxy.port) as client:
        answer = await client.ask(UPGRADE.replace(line, instead))
        assert answer.status == answered
        assert ((b"Sec-WebSocket-Version", b"13") in answer.headers) is (answered == 426)
        assert it.upstream.received == []


async def test_frames_right_behind_the_handshake_are_answered_in_order(tmp_path: Path) -> None:
    texts = [bundle_frame(MOVE, seq=1), page_frame(2), bundle_frame(MOVE, seq=3)]
    async with setting(tmp_path) as it, raw_client(it.proxy.port) as client:
        await client.send(UPGRADE, *(frame(Opcode.TEXT, text.encode(), b"abcd") for text in texts))
        assert (await client.head())[1] == 101
        assert [(await text_of(client))["Seq"] for _ in texts] == [1, 2, 3]
        assert it.backend.texts == texts


async def test_frames_right_behind_a_handshake_that_the_upstream_declines(tmp_path: Path) -> None:
    texts = [bundle_frame(MOVE, seq=1), page_frame(2)]
    async with setting(tmp_path, QUICK) as it, raw_client(it.proxy.port) as client:
        it.upstream.on("GET", "/rec/sock", status(404))
        await client.send(UPGRADE, *(frame(Opcode.TEXT, text.encode(), b"abcd") for text in texts))
        _, code, _, headers = await client.head()
        assert (code, dict(headers)[b"Sec-WebSocket-Accept"]) == (101, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        assert [(await text_of(client))["Fail"]["Status"] for _ in texts] == [502, 502]
        assert await client.rest() == frame(Opcode.CLOSE, b"\x03\xe9")


async def text_of(client: RawClient) -> dict[str, object]:
    """The next frame, a text that is not masked."""
    async with asyncio.timeout(120):
        head = await client.reader.readexactly(2)
        size = int.from_bytes(await client.reader.readexactly(2)) if head[1] == 126 else head[1]
        found: dict[str, object] = json.loads(await client.reader.readexactly(size))
    assert head[0] == 0x81
    return found


async def test_pings_and_a_close_are_answered_where_there_is_no_upstream(tmp_path: Path) -> None:
    async with setting(tmp_path, QUICK) as it:
        await it.upstream.refuse()
        async with it.connect(autoping=False) as socket:
            await socket.ping(b"there")
            pong = await socket.receive(timeout=120)
            assert (pong.type, pong.data) == (WSMsgType.PONG, b"there")
            await socket.close(code=1001)
            assert socket.close_code == 1001
        await it.proxy.idle()


@pytest.mark.parametrize("config", [{"socket": "refuse"}, QUICK], ids=["refused", "no upstream"])
async def test_a_silent_socket_without_an_upstream_is_closed(tmp_path: Path, config: dict[str, object]) -> None:
    async with setting(tmp_path, config) as it:
        await it.upstream.refuse()
        async with it.connect() as socket:
            assert await closed(socket) == 1001


async def test_a_text_that_is_none_of_ours_closes_a_socket_without_an_upstream(tmp_path: Path) -> None:
    async with setting(tmp_path, QUICK) as it:
        await it.upstream.refuse()
        async with it.connect() as socket:
            await socket.send_str("hello")
            assert await closed(socket) == 1001


async def test_over_the_limit_of_connections_frames_are_answered_502(tmp_path: Path) -> None:
    async with setting(tmp_path, {**QUICK, "server": {"max_connections": 10}}) as it:
        async with asyncio.TaskGroup() as group:
            clients = [group.create_task(asyncio.open_connection("127.0.0.1", it.proxy.port)) for _ in range(10)]
        await eventually(lambda: len(it.proxy.data_plane.server or ()) == 10)
        async with it.connect() as socket:
            assert (await say(socket, bundle_frame(MOVE)))["Fail"]["Status"] == 502
            assert (await say(socket, page_frame()))["Fail"]["Status"] == 502
            assert await closed(socket) == 1001
        for each in clients:
            each.result()[1].close()
        await eventually(lambda: not it.proxy.data_plane.server)
        async with it.connect() as socket:
            assert (await say(socket, page_frame()))["Cmd"] == 4
        assert it.proxy.metrics.recordings_ended == {("overloaded",): 1}


async def test_an_upstream_that_is_lost_leaves_no_page_without_an_answer(tmp_path: Path) -> None:
    async def lost(request: web.BaseRequest, received: Received) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        assert request.transport is not None
        request.transport.abort()
        return socket

    async with setting(tmp_path, {"filters": {"quota": {"sessions": 1}}}) as it:
        it.upstream.on("GET", "/rec/sock", lost)
        async with it.connect() as socket:
            answer = await say(socket, page_frame(8))
            assert (answer["Seq"], answer["Fail"]["Status"]) == (8, 502)
            assert (await socket.receive(timeout=120)).type in {WSMsgType.CLOSED, WSMsgType.CLOSE}
        await it.proxy.idle()
        assert it.used() == 0
        assert it.proxy.metrics.recordings_ended == {("upstream_cut",): 1}


# -- an org that only the frames name


async def test_an_upgrade_without_an_org_is_not_blocked_as_unlisted(tmp_path: Path) -> None:
    """Recorders upgrade without a query: which org it is, the frames say."""
    config = {"orgs": {"unlisted": "block", "listed": {"o-TEST-na1": {}}}}
    async with setting(tmp_path, config) as it:
        async with it.client.ws_connect(f"{it.proxy.url}/rec/sock") as socket:
            assert (await say(socket, page_frame()))["Cmd"] == 4
            assert (await say(socket, bundle_frame(MOVE)))["Cmd"] == 5
        async with it.client.ws_connect(f"{it.proxy.url}/rec/sock") as socket:
            assert (await say(socket, page_frame(OrgId="o-OTHER")))["Fail"]["Status"] == 202
            assert await closed(socket) == 1001
        assert len(it.upstream.received) == 1


# -- stopping


async def drained(it: Setting) -> None:
    """What a program that stops does, with time enough."""
    assert await it.proxy.data_plane.drain(30)


async def test_an_idle_socket_is_closed_at_once_when_the_program_stops(tmp_path: Path) -> None:
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            assert (await say(socket, page_frame()))["Cmd"] == 4
            draining = asyncio.create_task(drained(it))
            assert await closed(socket) == 1001
        await draining
        assert it.proxy.metrics.recordings_ended == {}


async def test_a_frame_under_way_is_answered_before_the_close(tmp_path: Path) -> None:
    free_in_steps = asyncio.Event()

    async def slow(request: web.BaseRequest, received: Received) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        await free_in_steps.wait()
        await socket.send_str('{"Cmd":5,"Seq":2,"Bundle":{"BundleTime":1}}')
        await socket.receive()
        return socket

    async with setting(tmp_path) as it:
        it.upstream.on("GET", "/rec/sock", slow)
        async with it.connect() as socket:
            await socket.send_str(bundle_frame(MOVE, seq=2))
            await eventually(lambda: it.proxy.metrics.requests[("socket", "none")] > 0)
            draining = asyncio.create_task(drained(it))
            # What comes now is not taken: it comes again to the next program.
            answer = await say(socket, bundle_frame(MOVE, seq=3))
            assert (answer["Seq"], answer["Fail"]["Status"]) == (3, 502)
            free_in_steps.set()
            assert (await hear(socket))["Seq"] == 2
            assert await closed(socket) == 1001
        await draining
    assert {line.get("fsproxy.error") for line in it.proxy.audit()} == {None, "draining"}


async def test_a_page_that_comes_while_the_program_stops_is_still_captured(tmp_path: Path) -> None:
    """It would not come again (wire.md 1)."""
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            draining = asyncio.create_task(drained(it))
            assert (await say(socket, page_frame()))["Cmd"] == 4
            assert await closed(socket) == 1001
        await draining


async def test_what_is_not_answered_in_time_gets_502(tmp_path: Path) -> None:
    async with setting(tmp_path, {"filters": {"quota": {"sessions": 1}}}) as it:
        it.backend.silent = True
        async with it.connect() as socket:
            await socket.send_str(page_frame(1))
            await socket.send_str(bundle_frame(MOVE, seq=2))
            await eventually(lambda: len(it.backend.texts) == 2)
            assert not await it.proxy.data_plane.drain(0.1)
            it.proxy.data_plane.cut()
            answers = [await hear(socket), await hear(socket)]
            assert [(each["Seq"], each["Fail"]["Status"]) for each in answers] == [(1, 502), (2, 502)]
            assert await closed(socket) == 1001
        await it.proxy.idle()
        assert it.used() == 0
        assert it.proxy.metrics.recordings_ended == {("draining",): 1}


async def test_a_page_that_waits_for_an_upstream_gets_502_when_the_time_to_drain_is_over(tmp_path: Path) -> None:
    async with setting(tmp_path, {"upstream": {"page_retry": "60s"}}) as it:
        await it.upstream.refuse()
        async with it.connect() as socket:
            await socket.send_str(page_frame(1))
            await eventually(lambda: it.proxy.metrics.upstream_failures[("upstream_refused",)] > 0)
            assert not await it.proxy.data_plane.drain(0.1)
            it.proxy.data_plane.cut()
            assert (await hear(socket))["Fail"]["Status"] == 502
            assert await closed(socket) == 1001
        await it.proxy.idle()


async def test_an_upgrade_that_comes_while_the_program_stops_is_served_and_closed(tmp_path: Path) -> None:
    async with setting(tmp_path) as it:
        async with raw_client(it.proxy.port) as client:
            await client.send(b"GET /rec/sock HTTP/1.1\r\nHost: a\r\n")
            await eventually(lambda: bool(it.proxy.data_plane.server))
            it.proxy.data_plane._sockets.drain()
            await client.send(UPGRADE.partition(b"Host: rs.example\r\n")[2])
            assert (await client.head())[1] == 101
            await client.send(frame(Opcode.TEXT, page_frame(1).encode(), b"abcd"))
            assert (await text_of(client))["Cmd"] == 4
            assert await client.rest() == frame(Opcode.CLOSE, b"\x03\xe9")


# -- rules of later


@pytest.mark.parametrize("cmd", [2, 6])
@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ({"ip": {"block": ["127.0.0.1"]}}, 5),
        ({"user_agent": {"block": ["Python"]}}, 6),
        ({"domain": {"rules": [{"block": "www.example.com"}]}}, 4),
    ],
    ids=["ip", "user_agent", "domain"],
)
async def test_a_rule_that_is_added_hits_on_sockets_that_are_open(
    tmp_path: Path, cmd: int, filters: dict[str, object], code: int
) -> None:
    origin = {"Origin": "https://www.example.com"}
    upload = bundle_frame(event("E", {}), cmd=cmd, seq=2)
    async with setting(tmp_path) as it, it.connect(headers=origin) as socket:
        assert (await say(socket, upload))["Cmd"] == cmd + (3 if cmd == 2 else 1)
        it.reload({"filters": filters})
        answer = await say(socket, upload)
        assert (answer["Fail"]["Status"], json.loads(answer["Fail"]["Error"])["reason_code"]) == (202, code)
        it.reload({"orgs": {"listed": {"o-TEST-na1": {"enabled": False}}}})
        assert json.loads((await say(socket, upload))["Fail"]["Error"])["reason_code"] == 2
        assert len(it.backend.texts) == 1
        assert it.proxy.metrics.recordings_ended == ({("blocked",): 2} if cmd == 2 else {})


async def test_a_socket_that_is_open_is_refused_once_sockets_are(tmp_path: Path) -> None:
    async with setting(tmp_path) as it, it.connect() as socket:
        assert (await say(socket, bundle_frame(MOVE)))["Cmd"] == 5
        it.reload({"socket": "refuse"})
        assert (await say(socket, bundle_frame(MOVE)))["Fail"]["Status"] == 202
        it.reload({"socket": "tunnel", "filters": {"user_agent": {"block": ["Python"]}}})
        assert (await say(socket, bundle_frame(MOVE)))["Cmd"] == 5
