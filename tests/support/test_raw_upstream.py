from __future__ import annotations

import asyncio

import pytest

from support.raw_upstream import RawAnswer, RawUpstream, silent_upstream


async def raw(port: int, request: bytes) -> bytes:
    """All that comes back until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def test_raw_answers_come_in_turn_and_cut_where_the_test_says() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"
    async with RawUpstream([RawAnswer(whole), RawAnswer(cut, then="close")]) as upstream:
        request = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
        assert await raw(upstream.port, request + request) == whole + cut
        assert upstream.received == [request, request]
        assert upstream.connections == 1
        assert await raw(upstream.port, request) == b""


async def test_a_raw_answer_can_end_in_a_reset() -> None:
    async with RawUpstream([RawAnswer(b"", then="reset")]) as upstream:
        with pytest.raises(ConnectionResetError):
            await raw(upstream.port, b"GET / HTTP/1.1\r\n\r\n")


async def test_a_silent_upstream_takes_a_request_and_says_nothing() -> None:
    async with silent_upstream() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        writer.close()


async def test_a_chunked_request_is_read_whole_and_a_kept_connection_is_ended_at_the_end() -> None:
    request = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    async with RawUpstream([RawAnswer(b"HTTP/1.1 204 No Content\r\n\r\n")]) as upstream:
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(request)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 204 No Content\r\n\r\n"
        assert upstream.received == [request]
    assert await reader.read() == b""
    writer.close()
