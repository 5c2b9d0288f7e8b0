"""Pages with a name in other letters, beside the right one or alone: the stricter of two readings counts (rules.md 4)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from support.echoing import Echoing, echoing
from support.in_process import InProcessProxy, in_process
from support.raw_http import RawAnswer, raw_client

GOOD, BLOCKED = '"https://good.example.com/"', '"https://blocked.example.com/"'


@pytest.fixture
async def upstream() -> AsyncIterator[Echoing]:
    async with echoing() as running:
        yield running


@pytest.fixture
async def proxy(upstream: Echoing) -> AsyncIterator[InProcessProxy]:
    config = {
        "upstream": {"url": upstream.url},
        "filters": {"domain": {"rules": [{"block": "blocked.example.com"}]}, "deleting_user": {"block": ["ann"]}},
        "orgs": {"listed": {"o-off": {"enabled": False}, "o-full": {"filters": {"quota": {"sessions": 1}}}}},
    }
    async with in_process(config) as running:
        yield running


async def page(proxy: InProcessProxy, body: str | bytes) -> RawAnswer:
    data = body if isinstance(body, bytes) else body.encode()
    async with raw_client(proxy.port) as client:
        head = b"POST /rec/page HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(data)
        return await client.ask(head, data)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (f'{{"OrgId":"o","Url":{GOOD},"url":{BLOCKED}}}', 4),
        (f'{{"OrgId":"o","url":{GOOD},"Url":{BLOCKED}}}', 4),
        (f'{{"OrgId":"o","Url":{BLOCKED},"url":{GOOD}}}', 4),
        (f'{{"OrgId":"o","Url":{GOOD},"\\u0055rl":{BLOCKED}}}', 4),
        (f'{{"OrgId":"o","url":{GOOD}}}', 9),
        (f'{{"OrgId":"o","orgid":"o-off","Url":{GOOD}}}', 2),
        (f'{{"OrgId":"o","Url":{GOOD},"appId":"ann"}}', 12),
    ],
)
async def test_the_reading_that_is_blocked_counts(
    upstream: Echoing, proxy: InProcessProxy, body: str, code: int
) -> None:
    for sent in (body.encode(), b"\xef\xbb\xbf" + body.encode()):
        answer = await page(proxy, sent)
        assert (answer.status, json.loads(answer.body)["reason_code"]) == (202, code)
    assert not upstream.requests


async def test_a_page_that_both_readings_let_pass_goes_up_as_it_came(upstream: Echoing, proxy: InProcessProxy) -> None:
    for body in (
        f'{{"OrgId":"o","Url":{GOOD},"url":{GOOD},"userid":"x"}}'.encode(),
        b"\xef\xbb\xbf" + f'{{"OrgId":"o","Url":{GOOD}}}'.encode(),
    ):
        assert (await page(proxy, body)).status == 200
        assert upstream.requests[-1].endswith(body)


async def test_a_reading_that_is_not_acted_upon_takes_no_unit_of_the_quota(
    upstream: Echoing, proxy: InProcessProxy
) -> None:
    both = '{{"OrgId":"o-full","SessionId":"s","Url":{0},"sessionid":"t","url":{1}}}'
    assert (await page(proxy, both.format(GOOD, BLOCKED))).status == 202
    assert (await page(proxy, f'{{"OrgId":"o-full","SessionId":"u","Url":{GOOD}}}')).status == 200
    assert len(upstream.requests) == 1
