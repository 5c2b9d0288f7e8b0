"""The parts of aiohttp that are not public and that the data plane stands on: the first to fail when they move."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from fsproxy.http.connection import ClientConnection
from fsproxy.http.fast_lane import MAX_PIPELINED
from fsproxy.http.server import DataServer
from support.in_process import in_process
from support.raw_http import raw_client
from support.upstream import RecordingUpstream, status

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


class Protocol(BaseProtocol):
    """What a parser needs above it."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self._parser = HttpRequestParser(
            self, self._loop, 2**16, max_line_size=1000, max_field_size=1000, max_headers=10,
            payload_exception=RuntimeError, auto_decompress=False, max_msg_queue_size=2,
        )  # fmt: skip


def test_the_parser_is_the_one_in_c() -> None:
    assert HttpRequestParser.__module__ == "aiohttp._http_parser"


def test_the_protocol_has_the_parts_that_ours_builds_on() -> None:
    assert {"_loop", "_parser", "_upgraded", "_reading_paused", "_buffer_paused"} <= set(BaseProtocol.__slots__)
    assert isinstance(BaseProtocol.writing_paused, property)
    for name in ("_pause_reading_for_buffer", "_resume_reading_for_buffer"):
        assert callable(getattr(BaseProtocol, name))
    assert list(inspect.signature(BaseProtocol.resume_reading).parameters) == ["self", "resume_parser"]
    assert issubclass(ClientConnection, BaseProtocol)
    assert issubclass(DataServer, web.Server)


async def test_the_parser_gives_messages_whether_it_is_an_upgrade_and_the_rest() -> None:
    protocol = Protocol()
    messages, upgraded, tail = protocol._parser.feed_data(GET)
    assert [(message.method, message.path, message.upgrade) for message, _ in messages] == [("GET", "/x", False)]
    assert messages[0][0].raw_headers == ((b"Host", b"a"),)
    assert messages[0][1] is EMPTY_PAYLOAD
    assert (upgraded, tail) == (False, b"")
    protocol._parser.message_consumed()
    head = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    messages, upgraded, tail = protocol._parser.feed_data(head + b"frames")
    assert (len(messages), upgraded, tail) == (1, True, b"frames")
    protocol._parser.set_upgraded(False)


async def test_the_parser_stops_at_a_full_queue_until_messages_are_consumed() -> None:
    protocol = Protocol()
    messages, _, _ = protocol._parser.feed_data(GET * 3)
    assert len(messages) == 2
    for _ in messages:
        protocol._parser.message_consumed()
    assert len(protocol._parser.feed_data(b"")[0]) == 1


async def test_the_parser_refuses_what_is_no_http_with_one_kind_of_error() -> None:
    for broken in (
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"\x16\x03\x01",
        b"GET / HTTP/1.1\r\nA: %b\r\n\r\n" % (b"x" * 2000),
    ):
        with pytest.raises(HttpProcessingError):
            Protocol()._parser.feed_data(broken)


async def test_a_body_that_is_there_is_read_at_once_and_knows_its_end() -> None:
    payload = StreamReader(Protocol(), 2**16, loop=asyncio.get_running_loop())
    assert payload.is_eof() is False
    payload.feed_data(b"abc")
    payload.feed_eof()
    assert payload.is_eof() is True
    assert payload.read_nowait(-1) == b"abc"
    assert payload.exception() is None
    assert EMPTY_PAYLOAD.is_eof()
    assert EMPTY_PAYLOAD.read_nowait(-1) == b""


async def test_more_pipelined_requests_than_the_queue_holds_are_all_answered_in_order() -> None:
    count = MAX_PIPELINED * 3
    async with RecordingUpstream(answer=status(200, b"ok"), allow_unexpected=True) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(count)))
            for _ in range(count):
                assert (await client.answer()).status == 200
            assert [each.target for each in upstream.received] == [f"/{number}" for number in range(count)]
            (connection,) = proxy.server.connections
            assert connection.is_idle
            connection.pause_writing()
            assert connection.writing_paused is True
            connection.resume_writing()
            assert connection.writing_paused is False
