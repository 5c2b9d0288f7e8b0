"""The recorder's socket through a real process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import web

from fsproxy.demo.answers import Sessions
from fsproxy.demo.socket import frame_answer
from support.proxy import running_proxy
from support.upstream import NOW_MS, Received, RecordingUpstream
from support.valkey import ValkeyServer, running_valkey

PAGE = {"OrgId": "o-1", "Url": "https://www.example.com/", "PageId": "p", "UserId": ""}
BUNDLE = {"Cmd": 2, "Bundle": {"Bundle": {"Seq": 1, "When": 0, "Evts": []}, "OrgId": "o-1", "PageId": "p", "Seq": 1}}


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    """Empty at first; the tests do not depend on what is in it."""
    with running_valkey() as server:
        yield server


@pytest.fixture
def answered(upstream: RecordingUpstream) -> RecordingUpstream:
    """The upstream speaks as a capture backend does."""
    sessions = Sessions()

    async def answer(request: web.BaseRequest, received: Received) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            upstream.frames.append(message.data)
            await socket.send_str(json.dumps(frame_answer(message.data, sessions, NOW_MS)))
        return socket

    upstream.on("GET", "/rec/sock", answer)
    return upstream


async def test_a_recording_over_a_socket_is_judged_and_audited(answered: RecordingUpstream) -> None:
    config = {
        "upstream": {"url": answered.url},
        "filters": {"domain": {"rules": [{"block": "bad.example"}]}},
    }
    bundle = {"Cmd": 2, "Seq": 3, "Bundle": {"Bundle": {"Seq": 1, "When": 0, "Evts": []}, "OrgId": "o-1"}}
    async with running_proxy(config) as proxy, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{proxy.url}/rec/sock?OrgId=o-1", compress=15) as socket:
            for seq, url in ((1, "https://bad.example/"), (2, "https://www.example.com/")):
                await socket.send_json({"Cmd": 1, "Seq": seq, "Page": {**PAGE, "Url": url, "PageId": f"p{seq}"}})
            await socket.send_json(bundle)
            answers = {answer["Seq"]: answer["Cmd"] for answer in [await socket.receive_json() for _ in range(3)]}
            assert answers == {1: 3, 2: 4, 3: 5}
        lines = await proxy.audit(4)
        decisions = {line["http.request.id"].partition(".")[2]: line["fsproxy.decision"] for line in lines}
        assert decisions == {"1": "blocked", "2": "captured", "3": "forwarded", "": "forwarded"}
        assert "fault" not in proxy.log_text()
    assert len(answered.frames) == 2


@pytest.mark.parametrize("store", ["memory", "redis"])
async def test_a_recording_goes_on_over_a_restart(
    answered: RecordingUpstream, store: str, valkey: ValkeyServer
) -> None:
    """Closed after its last answer, the recorder opens another socket, without a page frame (wire.md 7)."""
    state = {"backend": "redis", "redis": {"url": valkey.url, "timeout": "5s"}} if store == "redis" else {}
    config = {"upstream": {"url": answered.url}, "state": state}
    async with running_proxy(config) as proxy, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{proxy.url}/rec/sock") as socket:
            await socket.send_json({"Cmd": 1, "Page": PAGE, "Seq": 1})
            assert (await socket.receive_json())["Cmd"] == 4
            replacing = asyncio.create_task(proxy.start_again("--take-over"))
            message = await socket.receive(timeout=60)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
        async with session.ws_connect(f"{proxy.url}/rec/sock") as socket:
            await socket.send_json({**BUNDLE, "Seq": 2})
            assert await socket.receive_json() == {"Cmd": 5, "Seq": 2, "Bundle": {"BundleTime": NOW_MS}}
            await replacing
            await socket.send_json({**BUNDLE, "Cmd": 6, "Seq": 3})
            assert (await socket.receive_json())["Cmd"] == 7
        assert "fault" not in proxy.log_text()


async def test_an_idle_socket_does_not_keep_the_process_from_stopping(answered: RecordingUpstream) -> None:
    config = {"upstream": {"url": answered.url}, "server": {"drain": "60s"}}
    async with running_proxy(config) as proxy, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{proxy.url}/rec/sock?OrgId=o-1") as socket:
            await socket.send_json({"Cmd": 1, "Seq": 1, "Page": PAGE})
            assert (await socket.receive_json())["Cmd"] == 4
            stopping = asyncio.create_task(proxy.stop())
            message = await socket.receive(timeout=60)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
        await stopping
        assert [line["fsproxy.decision"] for line in await proxy.audit(2)] == ["captured", "forwarded"]
        assert "cut short" not in proxy.log_text()


async def test_a_socket_that_still_waits_at_the_end_of_the_time_to_stop(upstream: RecordingUpstream) -> None:
    async def silent(request: web.BaseRequest, received: Received) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    upstream.on("GET", "/rec/sock", silent)
    config = {"upstream": {"url": upstream.url}, "server": {"drain": "100ms"}}
    async with running_proxy(config) as proxy, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{proxy.url}/rec/sock") as socket:
            await socket.send_json({"Cmd": 1, "Page": PAGE, "Seq": 1})
            await upstream.arrived()
            stopping = asyncio.create_task(proxy.stop())
            assert (await socket.receive_json(timeout=60))["Fail"]["Status"] == 502
            assert (await socket.receive(timeout=60)).type is aiohttp.WSMsgType.CLOSE
        await stopping
        assert [line.get("fsproxy.error") for line in await proxy.audit(2)][:1] == ["draining"]
