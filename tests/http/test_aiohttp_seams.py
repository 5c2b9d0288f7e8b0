"""One test for each part of aiohttp that ``aiohttp_parts`` uses and that is not public; it fails when that part moves."""

from __future__ import annotations

import ast
import asyncio
import gc
import gzip
import inspect
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import SINGLETON_HEADERS

import fsproxy
from fsproxy.core.wire.header_names import READ
from fsproxy.core.wire.sockets import websocket
from fsproxy.http.aiohttp_parts import (
    EMPTY_PAYLOAD,
    HAS_C_PARSER,
    MAX_PIPELINED,
    READ_BUFFER,
    BrokenBodyError,
    HttpProcessingError,
    LineTooLong,
    ParsingProtocol,
    StreamReader,
    masked,
)
from fsproxy.http.connection import ClientConnection
from support.in_process import in_process
from support.raw_http import raw_client
from support.upstream import RecordingUpstream, status

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
LONGEST_LINE = 1000
PUBLIC = {"aiohttp", "aiohttp.web", "aiohttp.typedefs", "aiohttp.http_exceptions"}


def post(length: int) -> bytes:
    return b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length


class _Wire(asyncio.Transport):
    """A transport that only remembers whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = True

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


class _Connection(ParsingProtocol):
    """A connection that takes everything by the parser."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop(), LONGEST_LINE)
        self.wire = _Wire()
        self.connection_made(self.wire)

    def data_received(self, data: bytes) -> None:
        self.parse(data)


def test_other_modules_import_only_what_is_public() -> None:
    found = set()
    for path in Path(fsproxy.__file__).parent.rglob("*.py"):
        if path.name == "aiohttp_parts.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                names = [node.module]
                assert node.module.partition(".")[0] != "aiohttp" or not any(n.name[0] == "_" for n in node.names), path
            found |= {name for name in names if name.partition(".")[0] == "aiohttp"}
    assert found <= PUBLIC


def test_the_parser_is_the_one_in_c() -> None:
    assert HAS_C_PARSER


@pytest.mark.parametrize("size", [0, 1, 7, 8, 1000, 70_001])
def test_a_payload_is_masked_as_rfc_6455_says(size: int) -> None:
    payload = bytes(number % 251 for number in range(size))
    assert masked(payload, b"\x01\x82\xff\x00") == websocket.masked(payload, b"\x01\x82\xff\x00")


def test_the_protocol_has_no_dictionary_so_that_a_connection_stays_small() -> None:
    assert "__slots__" in vars(BaseProtocol)
    assert all("__dict__" not in vars(each) for each in ClientConnection.__mro__)


async def test_a_message_has_the_fields_that_become_a_request() -> None:
    messages, upgraded, tail = _Connection().parse(GET)
    ((message, payload),) = messages
    assert (message.method, message.path, message.raw_headers) == ("GET", "/x", ((b"Host", b"a"),))
    assert (bool(message.should_close), message.upgrade, message.chunked) == (False, False, False)
    assert message._replace(path="/y").path == "/y"
    assert payload is EMPTY_PAYLOAD
    assert (upgraded, tail) == (False, b"")


async def test_a_message_knows_chunks_and_that_the_connection_ends() -> None:
    ((message, _),) = _Connection().parse(CHUNKED)[0]
    assert message.chunked
    ((message, _),) = _Connection().parse(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")[0]
    assert message.should_close


@pytest.mark.parametrize("version", [(0, 9), (1, 0), (1, 1)])
async def test_a_version_compares_as_a_pair(version: tuple[int, int]) -> None:
    ((message, _),) = _Connection().parse(b"GET /x HTTP/%d.%d\r\nHost: a\r\n\r\n" % version)[0]
    assert message.version == version


async def test_nothing_comes_of_half_a_head_or_of_no_bytes() -> None:
    connection = _Connection()
    for data in (GET[:20], b"", GET[20:-1]):
        messages, upgraded, tail = connection.parse(data)
        assert (list(messages), upgraded, tail) == ([], False, b"")
    assert len(connection.parse(GET[-1:])[0]) == 1


async def test_bytes_behind_an_upgrade_come_back_and_are_parsed_if_it_is_declined() -> None:
    connection = _Connection()
    messages, upgraded, tail = connection.parse(UPGRADE + b"frames")
    assert ([message.upgrade for message, _ in messages], upgraded, tail) == ([True], True, b"frames")
    connection.stay_http()
    messages, upgraded, _ = connection.parse(GET)
    assert (len(messages), upgraded) == (1, False)


async def test_the_parser_stops_at_a_full_queue_until_requests_are_answered() -> None:
    connection = _Connection()
    assert len(connection.parse(GET * (MAX_PIPELINED + 2))[0]) == MAX_PIPELINED
    for _ in range(MAX_PIPELINED):
        connection.count_answered()
    assert len(connection.parse(b"")[0]) == 2


@pytest.mark.parametrize("broken", [b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"\x16\x03\x01", b"GET / HTTP/3.7\r\n\r\n"])
async def test_what_is_no_http_is_refused_with_one_kind_of_error(broken: bytes) -> None:
    with pytest.raises(HttpProcessingError) as refused:
        _Connection().parse(broken)
    assert not isinstance(refused.value, LineTooLong)


@pytest.mark.parametrize(
    "head", [b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nA: %b\r\n\r\n"]
)
async def test_a_line_over_the_limit_is_refused_with_an_error_of_its_own(head: bytes) -> None:
    assert len(_Connection().parse(head % (b"x" * (LONGEST_LINE - 100)))[0]) == 1
    with pytest.raises(LineTooLong):
        _Connection().parse(head % (b"x" * (LONGEST_LINE + 1)))


async def test_the_number_of_lines_has_no_limit_that_a_head_of_the_largest_size_meets() -> None:
    lines = b"".join(b"a:\r\n" for _ in range(LONGEST_LINE // len(b"a:\r\n") - 20))
    assert len(_Connection().parse(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")[0]) == 1


async def test_a_byte_over_127_in_a_target_is_refused_hence_the_mask() -> None:
    with pytest.raises(HttpProcessingError):
        _Connection().parse(b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n")


async def test_a_body_comes_compressed_as_it_was_sent() -> None:
    data = gzip.compress(b"abc")
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(data)
    ((_, payload),) = _Connection().parse(head + data)[0]
    assert payload.read_nowait(-1) == data


async def test_a_body_that_is_filled_is_read_at_once_and_knows_its_end() -> None:
    payload = _Connection().new_body()
    assert payload.is_eof() is False
    payload.feed_data(b"abc")
    payload.feed_eof()
    assert payload.is_eof() is True
    assert payload.read_nowait(-1) == b"abc"
    assert payload.exception() is None
    assert EMPTY_PAYLOAD.is_eof()
    assert EMPTY_PAYLOAD.read_nowait(-1) == b""


async def test_a_reader_waits_for_bytes_and_for_the_end() -> None:
    payload = _Connection().new_body()
    reading = asyncio.create_task(payload.readany())
    await asyncio.sleep(0)
    payload.feed_data(b"abc")
    assert await reading == b"abc"
    reading = asyncio.create_task(payload.readany())
    await asyncio.sleep(0)
    payload.feed_eof()
    assert await reading == b""


async def test_a_reader_that_waits_gets_the_error_that_is_set() -> None:
    payload = _Connection().new_body()
    reading = asyncio.create_task(payload.readany())
    await asyncio.sleep(0)
    error = ConnectionResetError()
    payload.set_exception(error)
    with pytest.raises(ConnectionResetError):
        await reading
    assert payload.exception() is error


async def test_a_body_whose_chunks_are_broken_gets_our_error_or_the_parser_raises_its_own() -> None:
    connection = _Connection()
    ((_, payload),) = connection.parse(CHUNKED)[0]
    try:
        connection.parse(b"zz\r\n")
    except HttpProcessingError:
        return
    assert isinstance(payload.exception(), BrokenBodyError)


@pytest.mark.parametrize("own", [False, True])
async def test_a_full_body_stops_the_reading_and_a_read_one_resumes_it(*, own: bool) -> None:
    connection = _Connection()
    more = b"x" * (READ_BUFFER * 2 + 1)
    if own:
        payload: Any = connection.new_body()
        payload.feed_data(more)
    else:
        ((_, payload),) = connection.parse(post(len(more) + 1) + more)[0]
    assert not connection.wire.is_read
    assert await payload.readany() == more
    assert connection.wire.is_read


async def test_the_parser_keeps_what_a_full_body_cannot_take_and_goes_on_with_it() -> None:
    connection = _Connection()
    size = READ_BUFFER * 2 + 1
    chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
    ((_, payload),) = connection.parse(CHUNKED + chunk * 3 + b"0\r\n\r\n")[0]
    assert (payload.total_bytes, payload.is_eof()) == (size, False)
    read = 0
    while part := await payload.readany():
        read += len(part)
    assert (read, payload.is_eof(), connection.wire.is_read) == (size * 3, True, True)


async def test_the_end_of_a_body_resumes_the_reading_and_not_the_parser() -> None:
    assert list(inspect.signature(BaseProtocol.resume_reading).parameters) == ["self", "resume_parser"]
    connection, parsed = _Connection(), list[bytes]()
    payload = connection.new_body()
    payload.feed_data(b"x" * (READ_BUFFER * 2 + 1))
    connection.data_received = parsed.append  # type: ignore[method-assign]
    payload.feed_eof()
    assert (connection.wire.is_read, parsed) == (True, [])


@pytest.mark.parametrize("first", [ParsingProtocol.release_reading, ParsingProtocol.resume_reading])
async def test_the_transport_is_read_once_neither_a_body_nor_we_hold_it(
    first: Callable[[ParsingProtocol], None],
) -> None:
    connection = _Connection()
    connection.pause_reading()
    connection.hold_reading()
    first(connection)
    assert not connection.wire.is_read
    connection.resume_reading()
    connection.release_reading()
    assert connection.wire.is_read


async def test_the_protocol_follows_its_transport() -> None:
    connection = _Connection()
    assert connection.transport is connection.wire
    assert connection.connected
    connection.pause_writing()
    assert connection.writing_paused is True
    connection.resume_writing()
    assert connection.writing_paused is False
    connection.connection_lost(None)
    assert connection.transport is None
    assert not connection.connected


async def test_a_connection_without_its_parser_is_freed_without_a_collector() -> None:
    connection = _Connection()
    connection.parse(GET)
    left = weakref.ref(connection)
    gc.disable()
    try:
        connection.forget_parser()
        del connection
        assert left() is None
    finally:
        gc.enable()


def test_a_body_is_a_stream_reader() -> None:
    assert StreamReader.__module__ == "aiohttp.streams"


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


def test_the_fast_lane_looks_up_every_header_that_the_parser_refuses_to_see_twice() -> None:
    assert {name.encode() for name in SINGLETON_HEADERS} <= READ
