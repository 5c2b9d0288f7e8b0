"""The upstream that other tests trust."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from support.upstream import Received, RecordingUpstream, reset, status


async def raw(port: int, request: bytes) -> bytes:
    """All that comes back until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_request_is_recorded_byte_for_byte(upstream: RecordingUpstream) -> None:
    head = b"POST /rec/bundle/v2?a=%7e&&b=%C3%A4+1 HTTP/1.1\r\nHost: x\r\nX-ODD: \xe4 1\r\nx-odd: 2\r\n"
    await raw(
        upstream.port,
        head + b"Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x00",
    )
    received = upstream.only()
    assert received.method == "POST"
    assert received.target == "/rec/bundle/v2?a=%7e&&b=%C3%A4+1"
    assert received.query == {"a": "~", "b": "ä 1"}
    assert (b"X-ODD", b"\xe4 1") in received.headers
    assert (b"x-odd", b"2") in received.headers
    assert received.body == b"\x1f\x8b\x00"
    with pytest.raises(AssertionError, match="2 times"):
        received.value("X-Odd")


async def test_an_unknown_route_fails_the_test() -> None:
    async def ask_for_the_unknown() -> None:
        async with RecordingUpstream() as upstream, aiohttp.ClientSession() as client:
            response = await client.post(f"{upstream.url}/rec/typo")
            assert response.status == 404

    with pytest.raises(AssertionError, match="/rec/typo"):
        await ask_for_the_unknown()


async def test_an_unknown_route_that_the_test_answers_is_expected(upstream: RecordingUpstream) -> None:
    upstream.on("GET", "/else", status(418, b"tea", x_kind="pot"))
    async with aiohttp.ClientSession() as client, client.get(f"{upstream.url}/else?q=1") as response:
        assert response.status == 418
        assert response.headers["x-kind"] == "pot"
        assert await response.read() == b"tea"


async def test_pages_and_bundles_are_answered_as_by_a_real_backend(upstream: RecordingUpstream) -> None:
    page = {"OrgId": "o", "Url": "https://a.example/"}
    async with aiohttp.ClientSession() as client:
        response = await client.post(f"{upstream.url}/rec/page", json=page, headers={"Origin": "https://a.example"})
        assert response.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert (await response.json())["IsNewSession"] is True
        response = await client.post(f"{upstream.url}/rec/bundle", data=b"whatever")
        assert set(await response.json()) == {"BundleTime"}
    assert upstream.connections == 1


async def test_answers_are_held_back_until_they_are_released(upstream: RecordingUpstream) -> None:
    upstream.hold()
    async with aiohttp.ClientSession() as client:
        asked = asyncio.create_task(client.post(f"{upstream.url}/rec/beacon"))
        await upstream.arrived()
        assert not asked.done()
        upstream.release()
        assert (await asked).status == 200


async def test_it_can_refuse_and_accept_again_on_the_same_port(upstream: RecordingUpstream) -> None:
    port = upstream.port
    await upstream.refuse()
    async with aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get(f"{upstream.url}/s/fs.js")
        await upstream.accept()
        assert upstream.port == port
        assert (await client.get(f"{upstream.url}/s/fs.js")).status == 200


async def test_it_can_reset_a_connection_after_reading_the_request(upstream: RecordingUpstream) -> None:
    upstream.answer = reset
    with pytest.raises(ConnectionResetError):
        await raw(upstream.port, b"GET /s/fs.js HTTP/1.1\r\nHost: x\r\n\r\n")
    assert upstream.only().path == "/s/fs.js"


async def test_socket_messages_are_recorded_and_echoed(upstream: RecordingUpstream) -> None:
    async with aiohttp.ClientSession() as client, client.ws_connect(f"{upstream.url}/rec/sock?a=1") as socket:
        await socket.send_str("text")
        assert await socket.receive_str() == "text"
        await socket.send_bytes(b"\x00")
        assert await socket.receive_bytes() == b"\x00"
    assert upstream.frames == ["text", b"\x00"]


def test_a_header_that_is_missing_has_no_value() -> None:
    assert Received("GET", "/", (), b"").value("Host") is None
