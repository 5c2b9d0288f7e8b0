"""The client in pieces and the upstream that echoes do what the tests on hostile requests lean on."""

from __future__ import annotations

import asyncio

import uvloop

from support.echoing import echoing
from support.pieces import read, send_pieces

REQUEST = b"POST /x HTTP/1.1\r\nHost: a\r\nX-Request-Id: 7\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = (
    b"POST /x HTTP/1.1\r\nHost: a\r\nX-Request-Id: 8\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
)
SEEN = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"


def test_each_piece_is_read_before_the_next_one_comes() -> None:
    pieces = [b"a", b"bc", b"d", b"efg"]
    came: list[bytes] = []

    class Listening(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            came.append(data)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Listening, "127.0.0.1", 0)
        await send_pieces(server.sockets[0].getsockname()[1], pieces, 0)
        server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    assert came == pieces


async def test_the_same_request_is_echoed_alike_however_it_is_framed() -> None:
    async with echoing() as upstream:
        replies = await send_pieces(upstream.port, [REQUEST + CHUNKED], 2)
        assert replies.answers == ((200, SEEN), (200, SEEN))
        assert upstream.requests == [SEEN, SEEN]
        assert bytes(upstream.raw[0]) == REQUEST + CHUNKED


async def test_what_could_be_misread_is_set_aside() -> None:
    async with echoing() as upstream:
        for framing in (b"Content-Length: 2\r\nTransfer-Encoding: chunked", b"Content-Length: 2\r\nContent-Length: 2"):
            await send_pieces(upstream.port, [b"POST /x HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n{}"], 0)
        await send_pieces(upstream.port, [b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"], 0)
        assert len(upstream.strange) == 3
        assert upstream.requests == []


def test_answers_are_read_with_what_stands_behind_them() -> None:
    replies = read(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nnomore"
    )
    assert (replies.answers, replies.closing, replies.rest) == (((100, b""), (400, b"no")), True, b"more")
