"""The null test: with the smallest configuration, only ``X-Request-Id`` distinguishes the proxy from the upstream."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.in_process import in_process
from support.proxy import running_proxy
from support.raw_http import RawAnswer, ServerSide, raw_client, scripted

FIXTURES = Path(__file__).parents[2] / "fixtures"
OURS = {b"x-request-id", b"access-control-expose-headers"}
ADDED = {b"x-request-id", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"cdn-loop", b"host"}


def recorded() -> Iterator[Any]:
    for page in json.loads((FIXTURES / "pages.json").read_text("utf-8")):
        record = {"method": "POST", "url": "/rec/page", "headers": page["headers"], "body": page["body"]}
        yield pytest.param(record | {"responseStatus": 200, "responseBody": page["answer"]}, id=f"page {page['build']}")
    for number, record in enumerate(json.loads((FIXTURES / "uploads.json").read_text("utf-8"))):
        yield pytest.param(record, id=f"{number} {record['url'].partition('?')[0]}")


def body_of(record: dict[str, Any]) -> bytes:
    if "bodyBase64" in record:
        return base64.b64decode(record["bodyBase64"])
    return str(record["body"]).encode()


def as_request(record: dict[str, Any]) -> bytes:
    lines = [f"{name}: {value}" for name, value in record["headers"].items()]
    body = body_of(record)
    if record["method"] == "POST":
        lines.append(f"content-length: {len(body)}")
    head = "\r\n".join([f"{record['method']} {record['url']} HTTP/1.1", "host: a.example", *lines, "", ""])
    return head.encode() + body


def as_answer(record: dict[str, Any]) -> bytes:
    body = record["responseBody"].encode()
    length = b"" if record["responseStatus"] == 204 else b"Content-Length: %d\r\n" % len(body)
    return (
        b"HTTP/1.1 %d Fine\r\nContent-Type: application/json\r\nAccess-Control-Allow-Origin: %b\r\n"
        b'Access-Control-Allow-Credentials: true\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nETag: W/"1"\r\n%b\r\n%b'
    ) % (record["responseStatus"], record["headers"]["origin"].encode(), length, body)


def lines_of(head: bytes) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))]


async def _both(record: dict[str, Any], proxy_port: int, upstream_port: int) -> tuple[RawAnswer, RawAnswer]:
    async with raw_client(upstream_port) as direct:
        expected = await direct.ask(as_request(record))
    async with raw_client(proxy_port) as client:
        return expected, await client.ask(as_request(record))


def same(expected: RawAnswer, got: RawAnswer) -> None:
    assert (got.status, got.reason, got.body) == (expected.status, expected.reason, expected.body)
    assert [pair for pair in got.headers if pair[0].lower() not in OURS] == list(expected.headers)
    assert got.value("X-Request-Id")


@pytest.mark.parametrize("record", list(recorded()))
async def test_a_recorded_request_and_its_answer_pass_byte_for_byte(record: dict[str, Any]) -> None:
    seen: list[bytes] = []

    async def serve(side: ServerSide) -> None:
        while True:
            seen.append(await side.whole_request())
            await side.say(as_answer(record))

    async with scripted(serve) as upstream:
        config = {"upstream": {"url": upstream.url}, "client_api": {"mode": "off"}}
        async with in_process(config) as proxy:
            same(*await _both(record, proxy.port, upstream.port))
    direct, through = (request.partition(b"\r\n\r\n") for request in seen)
    assert through[2] == direct[2] == body_of(record)
    (direct_start, *direct_lines), (start, *lines) = direct[0].split(b"\r\n"), through[0].split(b"\r\n")
    assert start == direct_start
    wanted = sorted(pair for pair in lines_of(b"\r\n".join(direct_lines)) if pair[0] not in ADDED)
    assert sorted(pair for pair in lines_of(b"\r\n".join(lines)) if pair[0] not in ADDED) == wanted


async def test_all_of_it_passes_through_the_program_as_a_user_starts_it() -> None:
    records = [param.values[0] for param in recorded()]
    answers = {record["url"]: as_answer(record) for record in records}
    seen: list[bytes] = []

    async def serve(side: ServerSide) -> None:
        while True:
            request = await side.whole_request()
            seen.append(request.partition(b"\r\n\r\n")[2])
            await side.say(answers[request.split(b" ", 2)[1].decode()])

    async with scripted(serve) as upstream:
        config = {"upstream": {"url": upstream.url}, "client_api": {"mode": "off"}}
        async with running_proxy(config) as proxy:
            for record in records:
                same(*await _both(record, proxy.port, upstream.port))
    assert seen[::2] == seen[1::2] == [body_of(record) for record in records]
