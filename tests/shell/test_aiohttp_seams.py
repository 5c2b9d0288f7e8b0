"""The parts of aiohttp that are not public and that the data plane stands on: the first to fail when they move."""

from __future__ import annotations

import asyncio
import inspect

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from fsproxy.shell.connection import CLOSE, KEEP, Answered, Incoming
from support.in_process import in_process
from support.raw_http import raw_client
from support.upstream import RecordingUpstream, status


def test_the_parser_is_the_one_in_c() -> None:
    assert HttpRequestParser.__module__ == "aiohttp._http_parser"


def test_the_connection_has_the_parts_that_ours_builds_on() -> None:
    assert {"_messages", "_current_request", "_message_tail", "_payload_parser", "_force_close"} <= set(
        web.RequestHandler.__slots__
    )
    assert "_paused" in BaseProtocol.__slots__
    assert isinstance(BaseProtocol.writing_paused, property)
    assert list(inspect.signature(web.RequestHandler.handle_error).parameters) == [
        "self",
        "request",
        "status",
        "exc",
        "message",
    ]
    assert list(inspect.signature(web.RequestHandler.set_parser).parameters)[:2] == ["self", "parser"]


async def test_an_answer_needs_only_keep_alive_prepare_and_write_eof() -> None:
    assert (KEEP.keep_alive, CLOSE.keep_alive) == (True, False)
    for name in ("prepare", "write_eof"):
        assert asyncio.iscoroutinefunction(getattr(Answered, name))
    assert {"_finish", "_cancel"} <= set(dir(Incoming))


async def test_a_body_that_is_there_is_read_at_once_and_knows_its_end() -> None:
    connection = web.RequestHandler(web.Server(_never), loop=asyncio.get_running_loop())
    payload = StreamReader(connection, 2**16, loop=asyncio.get_running_loop())
    assert payload.is_eof() is False
    payload.feed_data(b"abc")
    payload.feed_eof()
    assert payload.is_eof() is True
    assert payload.read_nowait(-1) == b"abc"
    assert payload.exception() is None
    assert EMPTY_PAYLOAD.is_eof()
    assert EMPTY_PAYLOAD.read_nowait(-1) == b""


async def _never(request: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError


async def test_the_queue_of_messages_and_the_pause_of_writing_behave_on_a_live_connection() -> None:
    async with RecordingUpstream(answer=status(200, b"ok"), allow_unexpected=True) as upstream:
        async with in_process({"upstream": {"url": upstream.url}}) as proxy, raw_client(proxy.port) as client:
            request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            assert (await client.ask(request)).status == 200
            (connection,) = proxy.server.connections
            assert len(connection._messages) == 0
            assert connection._message_tail == b""
            assert connection._current_request is None
            connection.pause_writing()
            assert connection.writing_paused is True
            connection.resume_writing()
            assert connection.writing_paused is False
