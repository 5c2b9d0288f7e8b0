"""Whatever bytes come as a page's body, a query or a header's value, the answer is no 5xx of ours and no traceback."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from support.in_process import in_process
from support.raw_http import RawAnswer, raw_client
from support.upstream import RecordingUpstream, status

LINE = st.binary(max_size=60).map(lambda value: value.translate(None, b"\r\n"))
EDGES = st.sampled_from([b'{"OrgId": "o-1", "Url": "%b"}', b'{"OrgId": %b}', b'{"Url": %b}', b"[%b]", b"%b"])
BODY = st.builds(lambda frame, value: frame.replace(b"%b", value), EDGES, st.binary(max_size=80))
HEADERS = [
    b"Cookie", b"Origin", b"User-Agent", b"X-Forwarded-For", b"Forwarded", b"X-Request-Id", b"Content-Encoding",
    b"Accept-Encoding", b"CF-IPCountry", b"Host", b"Connection", b"TE", b"Expect", b"Sec-GPC", b"Upgrade", b"X-Other",
]  # fmt: skip
CONFIG = {
    "filters": {
        "geo": {"never": ["FR"], "source": {"header": "cf-ipcountry"}},
        "ip": {"block": ["10.0.0.0/8"]},
        "user_agent": {"block": ["regex:Bad.*Bot"]},
        "domain": {"rules": [{"block": "*.example.com"}]},
        "ramping": {"share": "50%"},
        "quota": {"sessions": 100},
        "url": {"match_origin": True},
        "opt_out": {"gpc": True, "dnt": True},
    }
}


def run(coroutine: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)


async def _answers(requests: list[bytes]) -> list[RawAnswer]:
    async with RecordingUpstream(answer=status(200, b"{}"), allow_unexpected=True) as upstream:
        async with in_process({"upstream": {"url": upstream.url}, **CONFIG}) as proxy:
            answers = []
            for request in requests:
                async with raw_client(proxy.port) as client:
                    answers.append(await client.ask(request))
            return answers


def post(target: bytes, body: bytes = b"{}", line: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (target, line, len(body), body)


async def _never_5xx(requests: list[bytes]) -> None:
    for answer in await _answers(requests):
        assert answer.status < 500, answer


@settings(max_examples=30)
@given(st.lists(BODY, min_size=4, max_size=8))
def test_any_body_of_a_page(bodies: list[bytes]) -> None:
    run(_never_5xx([post(b"/rec/page", body) for body in bodies]))


@settings(max_examples=30)
@given(st.lists(LINE, min_size=4, max_size=8), st.sampled_from([b"/rec/bundle", b"/rec/event", b"/rec/page", b"/x"]))
def test_any_query(queries: list[bytes], path: bytes) -> None:
    run(_never_5xx([post(b"%b?OrgId=o-1&%b" % (path, query)) for query in queries]))


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(HEADERS), LINE), min_size=4, max_size=8),
    st.sampled_from([b"/rec/bundle", b"/rec/page", b"/x"]),
)
def test_any_value_of_a_header(lines: list[tuple[bytes, bytes]], path: bytes) -> None:
    page = b'{"OrgId": "o-1", "Url": "https://a.example.net/", "UserId": "u"}'
    run(_never_5xx([post(path, page, b"%b: %b\r\n" % pair) for pair in lines]))


@pytest.mark.parametrize("target", ["/%", "/%zz", "/\xe4", "/?\xff", "/[", "//[", "//[::1", "/a#b", "http://[::1/x"])
async def test_targets_that_are_no_urls_are_answered(target: str) -> None:
    await _never_5xx([post(target.encode("latin-1"))])
