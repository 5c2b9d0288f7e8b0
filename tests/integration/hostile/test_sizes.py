"""Requests that are too large: each part has a limit, and a request over it ends the connection."""

from __future__ import annotations

import tracemalloc

import pytest

from support.echoing import echoing
from support.in_process import in_process
from support.pieces import send_pieces

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"POST /rec/page HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
MEGABYTE = 1_000_000
BLOCK = 8_000
MOST = 4 * MEGABYTE
"""Bytes of memory that one of these requests may cost while it is read."""

# What is sent, and the statuses that may answer it; none: the connection ends without a word.
TOO_MUCH = {
    "a method": (b"G" * MEGABYTE, {400}),
    "a target": (b"GET /" + b"x" * MEGABYTE, {431}),
    "a version": (b"GET /x HTTP/1." + b"1" * MEGABYTE, {400}),
    "a name": (GET + b"X" * MEGABYTE, {431}),
    "a value": (GET + b"X-A: " + b"b" * MEGABYTE, {431}),
    "blanks before a value": (GET + b"X-A:" + b" " * MEGABYTE, {431}),
    "lines of one name": (GET + b"X-A: b\r\n" * (MEGABYTE // 8), {431}),
    "names": (GET + b"".join(b"X-%d: b\r\n" % number for number in range(100_000)), {431}),
    "empty lines": (b"\r\n" * (MEGABYTE // 2), {431}),
    "a host": (b"GET /x HTTP/1.1\r\nHost: " + b"a" * MEGABYTE, {431}),
    "cookies": (GET + b"Cookie: " + b"a=b; " * (MEGABYTE // 5), {431}),
    "addresses in a chain": (GET + b"X-Forwarded-For: " + b"10.0.0.1, " * (MEGABYTE // 10), {431}),
    "names in a connection header": (GET + b"Connection: " + b"a, " * (MEGABYTE // 3), {431}),
    "noughts of a length": (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"0" * MEGABYTE, {431}),
    # Nothing of these two is kept, so body_timeout is limit enough. The page is blocked, as it has no URL.
    "noughts of a chunk size": (CHUNKED + b"0" * MEGABYTE + b"2\r\n{}\r\n0\r\n\r\n", {202}),
    "an extension": (CHUNKED + b"2;" + b"a" * MEGABYTE + b"\r\n{}\r\n0\r\n\r\n", {202}),
    "a trailer's name": (CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X" * MEGABYTE, {400}),
    "a trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nX-A: " + b"b" * MEGABYTE, {400}),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X-A: b\r\n" * (MEGABYTE // 8), {400}),
    "a body": (b"POST /rec/page HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n" + b"x" * MEGABYTE, {413}),
    "a body in chunks": (CHUNKED + b"10000\r\n%b\r\n" % (b"x" * 65536) * 20, {408, 413}),
    "bodies of one byte a chunk": (CHUNKED + b"1\r\nx\r\n" * (MEGABYTE // 6), {408, 413}),
}


@pytest.mark.parametrize("of", TOO_MUCH)
async def test_too_much_of_anything_ends_the_connection_in_bounded_memory(of: str) -> None:
    sent, statuses = TOO_MUCH[of]
    server = {"max_body": "100KB", "header_timeout": "1s", "body_timeout": "1s", "keepalive": "1s"}
    async with echoing() as upstream, in_process({"upstream": {"url": upstream.url}, "server": server}) as proxy:
        await send_pieces(proxy.port, [GET + b"\r\n"], 1)  # the memory that the first request takes alone
        upstream.requests.clear()
        pieces = [sent[at : at + BLOCK] for at in range(0, len(sent), BLOCK)]
        tracemalloc.start()
        try:
            replies = await send_pieces(proxy.port, pieces, 1, wait_for_end=True)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert set(replies.statuses) <= statuses
        assert not replies.rest
        assert replies.closing or not replies.answers
        assert upstream.requests == []
        assert peak < MOST
        assert (await send_pieces(proxy.port, [GET + b"\r\n"], 1)).statuses == (200,)
