"""Every page that records can read our answers, also a page of an app or an extension (rules.md 1, wire.md 1)."""

from __future__ import annotations

import pytest

from support.in_process import in_process
from support.raw_http import raw_client

ORIGINS = [
    b"https://app.example.com",
    b"file://",
    b"null",
    b"capacitor://localhost",
    b"ionic://localhost",
    b"chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai",
]


@pytest.mark.parametrize("origin", ORIGINS)
async def test_any_origin_may_read_answers_of_ours(origin: bytes) -> None:
    async with in_process({"upstream": {"url": "http://127.0.0.1:9"}, "orgs": {"unlisted": "block"}}) as proxy:
        async with raw_client(proxy.port) as client:
            for target, body, status in ((b"/rec/page", b"{}", 202), (b"/rec/page", b"no page", 400)):
                head = b"POST %b HTTP/1.1\r\nHost: a\r\nOrigin: %b\r\nContent-Length: %d\r\n\r\n"
                answer = await client.ask(head % (target, origin, len(body)), body)
                assert answer.status == status
                assert answer.value("Access-Control-Allow-Origin") == origin
                assert answer.value("Access-Control-Allow-Credentials") == b"true"


async def test_listed_origins_alone_may_where_they_are_listed() -> None:
    config = {"upstream": {"url": "http://127.0.0.1:9"}, "orgs": {"unlisted": "block"}}
    async with in_process(
        {**config, "cors": {"origins": ["app.example.com", "capacitor://localhost", "null"]}}
    ) as proxy:
        async with raw_client(proxy.port) as client:
            for origin in ORIGINS:
                head = b"POST /rec/page HTTP/1.1\r\nHost: a\r\nOrigin: %b\r\nContent-Length: 2\r\n\r\n{}" % origin
                answer = await client.ask(head)
                is_listed = origin in (b"https://app.example.com", b"capacitor://localhost", b"null")
                assert answer.value("Access-Control-Allow-Origin") == (origin if is_listed else None)
