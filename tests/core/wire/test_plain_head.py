"""The fast lane's grammar: whatever it reads, the general parsers read the same; what is unusual it does not read."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fsproxy.core.wire import plain_head
from fsproxy.core.wire.header_names import READ
from fsproxy.core.wire.header_values import index
from fsproxy.core.wire.plain_head import PlainHead, read_answer, read_request
from fsproxy.http.head_limit import HeadLimit

LIMIT = 32_768
PAGE = b"POST /rec/page HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Type: text/plain\r\nX-Own: a b\r\n\r\n{}"
ANSWER = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\nVary: Origin\r\n\r\n{}"


def read(data: bytes) -> PlainHead | None:
    return read_request(data, LIMIT)


def test_of_a_plain_head_all_lines_are_kept_and_the_decisive_ones_indexed() -> None:
    head = read(PAGE)
    assert head is not None
    assert (head.method, head.target, head.length, PAGE[head.end :]) == ("POST", "/rec/page", 2, b"{}")
    assert head.headers.lines == (
        (b"Host", b"a"), (b"Content-Length", b"2"), (b"Content-Type", b"text/plain"), (b"X-Own", b"a b"),
    )  # fmt: skip
    assert head.headers == {b"host": b"a", b"content-length": b"2", b"content-type": b"text/plain"}
    assert (head.headers.find(b"x-own"), head.headers.find(b"x-none")) == (b"a b", None)


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "HEAD", "DELETE"])
def test_a_request_of_a_method_without_a_body_needs_no_length(method: str) -> None:
    head = read(f"{method} /s/x?a=1 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert head is not None
    assert (head.method, head.target, head.length) == (method, "/s/x?a=1", None)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_request_of_a_method_with_a_body_needs_a_length(method: str) -> None:
    plain = f"{method} /x HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    assert read(plain) is None
    head = read(plain.replace(b"Host", b"Content-Length: 0\r\nHost"))
    assert head is not None
    assert (head.method, head.length) == (method, 0)


def test_a_plain_answer_is_read_whole() -> None:
    whole = read_answer(ANSWER, LIMIT)
    assert whole is not None
    answer, body = whole
    assert (answer.status, answer.reason, answer.length, answer.chunked, body) == (200, b"OK", 2, False, b"{}")
    assert answer.headers.lines == ((b"Server", b"x"), (b"Content-Length", b"2"), (b"Vary", b"Origin"))


@pytest.mark.parametrize("value", [b"keep-alive", b"Keep-Alive"])
def test_a_connection_that_is_kept_alive_is_plain(value: bytes) -> None:
    assert read(PAGE.replace(b"X-Own: a b", b"Connection: " + value)) is not None
    assert read_answer(ANSWER.replace(b"Vary: Origin", b"connection: " + value), LIMIT) is not None


def test_lines_that_come_twice_and_mean_nothing_to_us_are_plain() -> None:
    repeated = b"X-Own: a\r\nx-own: b"
    head = read(PAGE.replace(b"X-Own: a b", repeated))
    assert head is not None
    assert head.headers.find(b"x-own") == b"a, b"
    answer = read_answer(ANSWER.replace(b"Vary: Origin", b"Set-Cookie: a=1\r\nSet-Cookie: b=2"), LIMIT)
    assert answer is not None
    assert answer[0].headers.lines[-2:] == ((b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"))


@pytest.mark.parametrize(
    "data",
    [
        PAGE.replace(b"Host: a\r\n", b""),
        PAGE.replace(b"Host: a", b"Host : a"),
        PAGE.replace(b"Host: a", b"Host:a"),
        PAGE.replace(b"Host: a", b"Host:  a"),
        PAGE.replace(b"Host: a", b"Host: a "),
        PAGE.replace(b"Host: a", b"Host:\ta"),
        PAGE.replace(b"Host: a", b"Host: \r\n a"),
        PAGE.replace(b"Host: a", b"Host: "),
        PAGE.replace(b"Host: a", b"Host: a\x00"),
        PAGE.replace(b"Host: a", b"Host: \xc3\xa4"),
        PAGE.replace(b"Host: a", b"Host: a\nX: b"),
        PAGE.replace(b"Host: a", b"Host: a\rX: b"),
        PAGE.replace(b"Host: a", b"Host: a\n\r"),
        PAGE.replace(b"Host: a", b"Ho_st: a"),
        PAGE.replace(b"Host: a", b": a"),
        PAGE.replace(b"X-Own: a b", b"host: b"),
        PAGE.replace(b"X-Own: a b", b"content-length: 2"),
        PAGE.replace(b"X-Own: a b", b"CONTENT-LENGTH: 2"),
        PAGE.replace(b"X-Own: a b", b"Transfer-Encoding: chunked"),
        PAGE.replace(b"X-Own: a b", b"Expect: 100-continue"),
        PAGE.replace(b"X-Own: a b", b"Upgrade: websocket"),
        PAGE.replace(b"X-Own: a b", b"Connection: close"),
        PAGE.replace(b"X-Own: a b", b"Connection: X-Own"),
        PAGE.replace(b"X-Own: a b", b"TE: trailers"),
        PAGE.replace(b"X-Own: a b", b"Trailer: X"),
        PAGE.replace(b"X-Own: a b", b"Keep-Alive: timeout=5"),
        PAGE.replace(b"X-Own: a b", b"HTTP2-Settings: x"),
        PAGE.replace(b"X-Own: a b", b"Sec-WebSocket-Key1: x"),
        PAGE.replace(b"X-Own: a b", b"Proxy: x"),
        PAGE.replace(b"X-Own: a b", b"Proxy-Authorization: Basic x"),
        PAGE.replace(b"X-Own: a b", b"content-type: text/html"),
        PAGE.replace(b"X-Own: a b", b"Server: a\r\nSERVER: b"),
        PAGE.replace(b"Length: 2", b"Length: +2"),
        PAGE.replace(b"Length: 2", b"Length: 2, 2"),
        PAGE.replace(b"Length: 2", b"Length: 0x2"),
        PAGE.replace(b"Length: 2", b"Length: 2000000000"),
        PAGE.replace(b"Length: 2", b"Length: "),
        PAGE.replace(b"Content-Length: 2\r\n", b""),
        PAGE.replace(b"/rec/page", b"http://a/rec/page"),
        PAGE.replace(b"/rec/page", b"//a/rec/page"),
        PAGE.replace(b"/rec/page", b"*"),
        PAGE.replace(b"/rec/page", b"/rec/page#x"),
        PAGE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PAGE.replace(b"HTTP/1.1", b"http/1.1"),
        PAGE.replace(b"POST ", b"POST  "),
        PAGE.replace(b"POST", b"CONNECT"),
        PAGE.replace(b"POST", b"post"),
        b"\r\n" + PAGE,
        PAGE[:-10],
        b"",
    ],
)
def test_what_is_unusual_is_left_to_the_general_parser(data: bytes) -> None:
    assert read(data) is None


@pytest.mark.parametrize(
    "data",
    [
        ANSWER[:-1],
        ANSWER + b"x",
        ANSWER.replace(b"200 OK", b"204 No Content"),
        ANSWER.replace(b"200 OK", b"304 Not Modified"),
        ANSWER.replace(b"200 OK", b"100 Continue"),
        ANSWER.replace(b"HTTP/1.1", b"HTTP/1.0"),
        ANSWER.replace(b"Vary: Origin", b"Connection: close"),
        ANSWER.replace(b"Vary: Origin", b"Transfer-Encoding: chunked"),
        ANSWER.replace(b"Vary: Origin", b"X-Request-Id: 1\r\nx-request-id: 2"),
        ANSWER.replace(b"Vary: Origin", b"Proxy-Status: x"),
        ANSWER.replace(b"Content-Length: 2\r\n", b""),
    ],
)
def test_an_answer_that_is_unusual_or_not_whole_is_left_to_the_general_parser(data: bytes) -> None:
    assert read_answer(data, LIMIT) is None


def test_a_head_over_the_limit_is_not_plain() -> None:
    assert read_request(PAGE, len(PAGE) - 6) is not None
    assert read_request(PAGE, len(PAGE) - 7) is None
    assert read_answer(ANSWER, len(ANSWER) - 6) is not None
    assert read_answer(ANSWER, len(ANSWER) - 7) is None


@pytest.mark.parametrize(("digits", "length"), [(b"999999999", 999_999_999), (b"000000002", 2), (b"0000000002", None)])
def test_a_length_has_at_most_nine_digits(digits: bytes, length: int | None) -> None:
    head = read(PAGE.replace(b"Length: 2", b"Length: " + digits))
    assert (head and head.length) == length
    assert (read_answer(ANSWER.replace(b"Length: 2", b"Length: " + digits), LIMIT) is not None) is (length == 2)


def test_no_more_spellings_are_remembered_than_1024(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may choose the letters of a name, and all of ``Proxy-*``."""
    lower = plain_head._LowerCase()
    monkeypatch.setattr(plain_head, "_lower", lower)
    for number in range(1100):
        assert read(PAGE.replace(b"X-Own", b"Proxy-%d" % number)) is None
    assert len(lower) == 1024
    head = read(PAGE.replace(b"Host", b"hOSt"))
    assert head is not None
    assert head.headers[b"host"] == b"a"


NAMES = st.sampled_from(
    [b"Host", b"host", b"X-A", b"x-a", b"Content-Length", b"content-length", b"Connection", b"Transfer-Encoding",
     b"Expect", b"Upgrade", b"TE", b"A B", b"A\t", b"", b"A_B", b"Content-Type", b"Sec-WebSocket-Key1"]
)  # fmt: skip
VALUES = st.sampled_from(
    [b"a", b"2", b"0", b"02", b"+2", b"2 ", b" 2", b"", b"a b", b"a\tb", b"keep-alive", b"close", b"chunked", b"\xe4",
     b"a\r\n b", b"a\nB: c", b"a\rB: c", b"\x00", b"websocket", b"100-continue", b"\x7f"]
)  # fmt: skip
LINES = st.lists(st.tuples(NAMES, st.sampled_from([b": ", b":", b" : ", b":  "]), VALUES), max_size=5)
STARTS = st.sampled_from(
    [b"POST /x HTTP/1.1", b"GET /x?a=%2e HTTP/1.1", b"GET  /x HTTP/1.1", b"POST http://a/ HTTP/1.1", b"GET / HTTP/1.0",
     b"OPTIONS * HTTP/1.1", b"HEAD /\xe4 HTTP/1.1", b"\r\nGET / HTTP/1.1", b"PUT /x HTTP/1.1", b"DELETE /x HTTP/1.1"]
)  # fmt: skip
BODIES = st.sampled_from([b"", b"{}", b"x", b"GET /y HTTP/1.1\r\nHost: b\r\n\r\n"])


def general(data: bytes) -> list[Any] | None:
    """The messages that the general lane finds with aiohttp's parser; None when that refuses."""
    head = HeadLimit(LIMIT)
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(
            BaseProtocol(loop), loop, 2**16, max_line_size=LIMIT, max_field_size=LIMIT, auto_decompress=False
        )
        messages, _, _ = parser.feed_data(head.masked(data, busy=False))
        return list(head.complete(messages, len(data))) if messages else []
    except HttpProcessingError:
        return None
    finally:
        loop.close()


@settings(max_examples=400)
@given(STARTS, LINES, BODIES)
@example(b"POST /x HTTP/1.1", [(b"Content-Length", b": ", b"2"), (b"content-length", b": ", b"2")], b"{}")
@example(b"GET /x?a=%2e HTTP/1.1", [(b"X-A", b": ", b"a")], b"")
@example(b"POST /x HTTP/1.1", [(b"Content-Length", b": ", b"02"), (b"Host", b": ", b"a")], b"{}")
def test_the_general_parser_reads_in_a_plain_head_what_the_fast_lane_does(
    start: bytes, lines: list[tuple[bytes, bytes, bytes]], body: bytes
) -> None:
    data = start + b"\r\n" + b"".join(name + colon + value + b"\r\n" for name, colon, value in lines) + b"\r\n" + body
    head = read(data)
    if head is None:
        return
    messages = general(data[: head.end + (head.length or 0)])
    assert messages is not None
    ((message, payload),) = messages
    assert (message.method, message.path, message.upgrade, message.should_close) == (
        head.method, head.target, False, False,
    )  # fmt: skip
    assert message.raw_headers == head.headers.lines
    indexed = index(message.raw_headers)
    assert {name: indexed.get(name) for name in READ} == {name: head.headers.get(name) for name in READ}
    assert payload.is_eof() == (len(data) - head.end >= (head.length or 0))


class Heard:
    """What llhttp says of an answer."""

    def __init__(self) -> None:
        self.lines: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.ended = 0
        self.parser = httptools.HttpResponseParser(self)
        self.keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.ended += 1
        self.keeps_alive = self.parser.should_keep_alive()  # afterwards the parser has forgotten the message


@settings(max_examples=400)
@given(
    st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 502 ", b"HTTP/1.1 204 x", b"HTTP/1.1 99 x", b"HTTP/1.1  200 OK"]),
    LINES,
    BODIES,
)
def test_llhttp_reads_in_a_plain_answer_what_the_fast_lane_does(
    start: bytes, lines: list[tuple[bytes, bytes, bytes]], body: bytes
) -> None:
    data = start + b"\r\n" + b"".join(name + colon + value + b"\r\n" for name, colon, value in lines) + b"\r\n" + body
    whole = read_answer(data, LIMIT)
    if whole is None:
        return
    answer, content = whole
    heard = Heard()
    heard.parser.feed_data(data)
    assert (heard.lines, heard.body, heard.ended) == (list(answer.headers.lines), content, 1)
    assert (heard.parser.get_status_code(), heard.keeps_alive) == (answer.status, True)


def test_a_target_may_hold_raw_bytes() -> None:
    head = read_request(PAGE.replace(b"/rec/page", b"/rec/\xc3\xa4\xff"), 1000)
    assert head is not None
    assert head.target.encode("utf-8", "surrogateescape") == b"/rec/\xc3\xa4\xff"
