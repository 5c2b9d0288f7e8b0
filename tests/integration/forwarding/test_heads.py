"""Heads that are larger than ``server.max_header``, and targets with raw bytes: in either lane, however they arrive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.echoing import echoing
from support.in_process import in_process
from support.pieces import send_pieces
from support.raw_http import eventually, raw_client
from support.upstream import RecordingUpstream, status

ORIGIN = b"https://app.example.com"
LIMIT = 4096
TOO_LARGE = {
    "one cookie": (b"", b"Cookie: a=" + b"x" * 5000 + b"\r\n"),
    "many cookies in one line": (
        b"",
        b"Cookie: " + b"; ".join(b"c%d=%s" % (n, b"y" * 90) for n in range(60)) + b"\r\n",
    ),
    "a long target": (b"q" * 5000, b""),
    "many lines": (b"", b"".join(b"X-%d: %s\r\n" % (n, b"z" * 100) for n in range(60))),
    "very many short lines": (b"", b"".join(b"X-%d: 1\r\n" % n for n in range(600))),
    "a long name": (b"", b"X" * 5000 + b": 1\r\n"),
}
ROUTES = {b"/rec/page": "page", b"/rec/bundle": "bundle", b"/rec/event": "event", b"/client/event": "direct_event"}


def asked(path: bytes, what: str, *, origin_last: bool) -> bytes:
    query, lines = TOO_LARGE[what]
    origin = b"Origin: " + ORIGIN + b"\r\n"
    ordered = lines + origin if origin_last else origin + lines
    return b"POST %b?%b HTTP/1.1\r\nHost: a\r\n%bContent-Length: 2\r\n\r\n{}" % (path, query, ordered)


def audit_lines(proxy_file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in proxy_file.read_text().splitlines()] if proxy_file.exists() else []


def ways(sent: bytes) -> Iterator[list[bytes]]:
    """Return the head whole, in packets, and cut in the middle of its largest part."""
    yield [sent]
    yield [sent[at : at + 1400] for at in range(0, len(sent), 1400)]
    yield [sent[:60], sent[60:3000], sent[3000:]]


@pytest.mark.parametrize("what", TOO_LARGE)
@pytest.mark.parametrize("path", [*ROUTES, b"/other"])
async def test_a_head_over_max_header_is_431_on_its_own_route(path: bytes, what: str, tmp_path: Path) -> None:
    file = tmp_path / "audit"
    async with RecordingUpstream(answer=status(200), allow_unexpected=True) as upstream:
        config = {
            "upstream": {"url": upstream.url},
            "server": {"max_header": LIMIT},
            "audit": {"to": str(file)},
        }
        async with in_process(config) as proxy:
            sent = asked(path, what, origin_last=False)
            for pieces in ways(sent):
                replies = await send_pieces(proxy.port, pieces, 1, wait_for_end=True)
                assert replies.statuses == (431,), (replies, len(pieces))
                assert replies.closing
                allowed = b"Access-Control-Allow-Origin: " + ORIGIN in replies.data
                assert allowed == (path != b"/other")
        assert not upstream.received
        lines = [line for line in audit_lines(file) if line["event.action"] == ROUTES.get(path, "other")]
        assert len(lines) == 3
        for line in lines:
            assert line["fsproxy.error"] == "header_too_large"
            assert line["http.response.status_code"] == 431
            assert line["url.path"] == path.decode()


@pytest.mark.parametrize("what", TOO_LARGE)
async def test_an_origin_behind_what_is_too_large_gets_cors_too(what: str) -> None:
    async with in_process({"upstream": {"url": "http://127.0.0.1:9"}, "server": {"max_header": LIMIT}}) as proxy:
        replies = await send_pieces(proxy.port, [asked(b"/rec/page", what, origin_last=True)], 1, wait_for_end=True)
        assert replies.statuses == (431,)
        assert b"Access-Control-Allow-Origin: " + ORIGIN in replies.data


async def test_a_head_over_max_header_behind_another_request_is_431_in_its_turn() -> None:
    async with RecordingUpstream(answer=status(200), allow_unexpected=True) as upstream:
        config = {"upstream": {"url": upstream.url}, "server": {"max_header": LIMIT}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            upstream.hold()
            await client.send(b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n")
            await upstream.arrived(1)
            await client.send(asked(b"/rec/page", "one cookie", origin_last=False))
            await eventually(lambda: proxy.metrics.in_flight == 1)
            upstream.release()
            assert (await client.answer()).status == 200
            assert (await client.answer()).status == 431
            assert await client.closed()
        assert [each.target for each in upstream.received] == ["/good"]


async def test_a_head_that_is_too_large_and_never_ends_is_431_after_header_timeout() -> None:
    server = {"max_header": LIMIT, "header_timeout": "300ms"}
    async with in_process({"upstream": {"url": "http://127.0.0.1:9"}, "server": server}) as proxy:
        sent = asked(b"/rec/page", "one cookie", origin_last=False)
        replies = await send_pieces(proxy.port, [sent[:5000]], 1, wait_for_end=True)
        assert replies.statuses == (431,)
        assert b"Access-Control-Allow-Origin: " + ORIGIN in replies.data


async def test_what_is_too_large_and_no_request_is_431_and_only_counted() -> None:
    async with in_process({"upstream": {"url": "http://127.0.0.1:9"}, "server": {"max_header": LIMIT}}) as proxy:
        replies = await send_pieces(proxy.port, [b"\r\n" * LIMIT * 4], 1, wait_for_end=True)
        assert replies.statuses == (431,)
        assert proxy.metrics.malformed == {(): 1}


RAW = [
    b"/s/caf\xc3\xa9",
    b"/\xff\xfe?q=\x80\xe4&r=%ff",
    b"/rec/bundle?OrgId=o-\xe4&UserId=\xff",
    b"/\xf0\x9f\x98\x80/x",
]


@pytest.mark.parametrize("target", RAW)
@pytest.mark.parametrize(
    "lines", [b"Host: a\r\nContent-Length: 2\r\n", b"Host: a\r\nX-A: \xe4\r\nContent-Length:  2\r\n"]
)
async def test_raw_bytes_of_a_target_go_up_as_they_came_however_they_arrive(target: bytes, lines: bytes) -> None:
    async with echoing() as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        sent = b"POST %b HTTP/1.1\r\n%b\r\n{}" % (target, lines)
        cuts = ([sent[:at], sent[at:]] for at in range(1, len(sent)))
        for pieces in ([sent], [sent[at : at + 1] for at in range(len(sent))], *cuts):
            replies = await send_pieces(proxy.port, pieces, 1)
            assert replies.statuses == (200,), pieces
            assert upstream.requests.pop().split(b" ")[1] == target


async def test_raw_bytes_pass_in_every_request_of_a_connection() -> None:
    async with echoing() as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        async with raw_client(proxy.port) as client:
            for number, target in enumerate(RAW * 2):
                head = b"POST %b HTTP/1.1\r\nHost: a\r\nX-A: \xff\r\nContent-Length: 3\r\n\r\n" % target
                # The first takes the fast lane. The others do not, as one of them comes in pieces.
                await client.send(head[: 20 if number else 10_000])
                await eventually(lambda: len(proxy.server) == 1)
                assert (await client.ask(head[20 if number else 10_000 :], b"\xff\n\xff")).status == 200
                assert upstream.requests.pop().split(b" ")[1] == target


async def test_raw_bytes_anywhere_else_in_a_request_line_stay_malformed() -> None:
    async with echoing() as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        for line in (b"P\xffST /x HTTP/1.1", b"POST\xa0/x HTTP/1.1", b"POST /x HTTP/1.\xb1", b"POST \xff/x HTTP/1.1"):
            replies = await send_pieces(proxy.port, [line + b"\r\nHost: a\r\n\r\n"], 1, wait_for_end=True)
            assert replies.statuses == (400,), line
        assert not upstream.requests


async def test_raw_bytes_are_escaped_in_the_audit_line(tmp_path: Path) -> None:
    file = tmp_path / "audit"
    async with echoing() as upstream:
        config = {"upstream": {"url": upstream.url}, "audit": {"to": str(file), "share": {"other": "100%"}}}
        async with in_process(config) as proxy:
            await send_pieces(proxy.port, [b"GET /a\xff\xc2\x85\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"], 1)
        assert audit_lines(file)[0]["url.path"] == "/a\ufffd\\u0085\u00e9"
