"""What is redacted on every way through the program: pages, bundles, gzip, sockets, direct and server calls, headers."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from fsproxy.core.redact.redaction import Redaction
from support.call_samples import bundle, event, first, user
from support.in_process import InProcessProxy, in_process
from support.redacting import KEY, redaction
from support.sockets import ORG, bundle_frame, page_frame, say, setting
from support.upstream import Received, RecordingUpstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANN = "ann@example.com"
MASKED = "*" * len(ANN)
RULES: list[dict[str, Any]] = [
    {"mask": "email", "in": ["properties", "urls", "headers", "strings"], "id": "mails"},
    {"mask": "card", "in": ["strings"], "mode": "shadow", "id": "cards"},
    {"hash": "regex:.+", "in": ["uid"], "id": "uids"},
]
CONFIG = {"redact": {"rules": RULES}, "audit": {"key": KEY}, "cors": {"origins": "any"}}
PAGE = {"OrgId": "o-1", "UserId": ANN, "SessionId": "s", "Url": f"https://www.example.com/?to={ANN}", "AppId": ANN}
HASHED = redaction({"hash": "email"}).hashed(ANN)
IDS = "OrgId=o-1&SessionId=s&PageId=p&Seq=1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[RecordingUpstream]:
    async with RecordingUpstream(allow_unexpected=True) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy(upstream: RecordingUpstream) -> AsyncIterator[InProcessProxy]:
    async with in_process(with_upstream(upstream)) as running:
        yield running


def with_upstream(upstream: RecordingUpstream, **config: Any) -> dict[str, Any]:
    return {**CONFIG, **config, "upstream": {"url": upstream.url, "cookies": "all"}, "audit": {"key": KEY}}


async def ask(
    proxy: InProcessProxy, path: str, body: bytes, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as http, http.post(f"{proxy.url}{path}", data=body, headers=headers) as answer:
        return answer.status, await answer.read()


async def sent_up(
    proxy: InProcessProxy, upstream: RecordingUpstream, path: str, body: bytes, headers: dict[str, str] | None = None
) -> Received:
    """The request as it arrived."""
    before = len(upstream.received)
    status, answer = await ask(proxy, path, body, headers)
    assert status == 200, answer
    assert len(upstream.received) == before + 1
    return upstream.received[-1]


async def test_a_page_is_decided_by_its_own_url_and_goes_up_redacted(
    proxy: InProcessProxy, upstream: RecordingUpstream
) -> None:
    body = json.dumps(PAGE).encode()
    left = json.dumps({**PAGE, "Url": f"https://www.example.com/?to={MASKED}", "AppId": HASHED}).encode()
    assert (await sent_up(proxy, upstream, "/rec/page", body)).body == left
    await ask(proxy, "/rec/page", gzip.compress(body), {"Content-Encoding": "gzip"})
    zipped = upstream.received[-1]
    assert gzip.decompress(zipped.body) == left
    assert zipped.value("content-length") == str(len(zipped.body))


async def test_uploads_compressed_or_not(proxy: InProcessProxy, upstream: RecordingUpstream) -> None:
    body = bundle(event(2, [ANN]), first("Bought", {"a_str": ANN}), user({"uid": ANN}))
    left = bundle(event(2, [MASKED]), first("Bought", {"a_str": MASKED}), user({"uid": HASHED}))
    for route in ("/rec/bundle", "/rec/bundle/v2", "/rec/event"):
        assert (await sent_up(proxy, upstream, f"{route}?{IDS}", body)).body == left
        zipped = await sent_up(proxy, upstream, f"{route}?{IDS}&ContentEncoding=gzip", gzip.compress(body))
        assert gzip.decompress(zipped.body) == left
    large = bundle(*[event(2, ["x" * 50_000])] * 3, event(2, [ANN]))
    assert (await sent_up(proxy, upstream, f"/rec/bundle?{IDS}", large)).body == large.replace(
        ANN.encode(), MASKED.encode()
    )


async def test_a_body_without_a_match_stays_compressed_as_it_came(
    proxy: InProcessProxy, upstream: RecordingUpstream
) -> None:
    body = gzip.compress(bundle(event(2, ["logo@2x.png"]), first("A", {"a_str": "b"})), 3)
    assert (await sent_up(proxy, upstream, f"/rec/bundle?{IDS}&ContentEncoding=gzip", body)).body == body


async def test_direct_and_server_calls(proxy: InProcessProxy, upstream: RecordingUpstream) -> None:
    sent = json.dumps({"name": "Bought", "properties": {"a_str": ANN}}).encode()
    received = await sent_up(proxy, upstream, f"/client/event?{IDS}", sent)
    assert received.body == sent.replace(ANN.encode(), MASKED.encode())
    sent = json.dumps({"a_str": ANN}).encode()
    received = await sent_up(proxy, upstream, "/users/v1/individual/ann%40example.com/customvars", sent)
    assert received.target == f"/users/v1/individual/{HASHED}/customvars"
    assert received.body == sent.replace(ANN.encode(), MASKED.encode())
    sent = json.dumps({"uid": ANN, "email": ANN}).encode()
    received = await sent_up(proxy, upstream, "/v2/users", sent)
    assert json.loads(received.body) == {"uid": HASHED, "email": MASKED}


async def test_headers_that_go_up(proxy: InProcessProxy, upstream: RecordingUpstream) -> None:
    headers = {
        "Referer": f"https://www.example.com/?to={ANN.replace('@', '%40')}",
        "X-Contact": ANN,
        "Authorization": f"Bearer {ANN}",
        "Origin": "https://www.example.com",
        "Cookie": f"fs_uid=#o-1#{ANN}; mail={ANN}",
        "X-Request-Id": ANN,
        "traceparent": ANN,
    }
    received = await sent_up(proxy, upstream, "/rec/except", b"not read", headers)
    assert received.value("referer") == f"https://www.example.com/?to={MASKED}**"
    assert received.value("x-contact") == MASKED
    assert received.value("cookie") == f"fs_uid=#o-1#{ANN}; mail={MASKED}"
    for kept in ("authorization", "origin", "x-request-id", "traceparent"):
        assert received.value(kept) == next(value for name, value in headers.items() if name.lower() == kept)
    assert received.body == b"not read"


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (f"/rec/bundle?{IDS}", b"no JSON", {}),
        (f"/rec/event?{IDS}", b'{"Seq":1}', {}),
        (f"/rec/bundle?{IDS}&ContentEncoding=gzip", gzip.compress(b'{"Evts":[]}', mtime=0)[:-9], {}),
        (f"/rec/bundle?{IDS}", b'{"Evts":[]}', {"Content-Encoding": "br"}),
        (f"/client/event?{IDS}", b"[]", {}),
        ("/users/v1/individual/a/customvars", b"{", {}),
        ("/users/v1//individual/a/customvars", b"{}", {}),
    ],
    ids=["bundle", "event", "cut", "unknown encoding", "direct", "server", "no uid in the path"],
)
async def test_what_cannot_be_read_does_not_go_on(
    proxy: InProcessProxy, upstream: RecordingUpstream, path: str, body: bytes, headers: dict[str, str]
) -> None:
    before = len(upstream.received)
    assert (await ask(proxy, path, body, headers))[0] == 400
    assert len(upstream.received) == before


async def test_on_error_forward_is_chosen_by_name(upstream: RecordingUpstream) -> None:
    config = with_upstream(upstream, redact={"on_error": "forward", "rules": RULES})
    async with in_process(config) as other:
        assert (await sent_up(other, upstream, f"/rec/bundle?{IDS}", b"no JSON")).body == b"no JSON"


@pytest.mark.parametrize("mode", ["shadow", "bypass"])
async def test_the_top_level_mode_does_not_cap_it(upstream: RecordingUpstream, mode: str) -> None:
    rules = {"client_api": {"mode": "off"}, "filters": {"domain": {"otherwise": "block"}}}
    body = bundle(event(2, [ANN]), first("", {"a_str": ANN}), user({"uid": ANN}))
    left = bundle(event(2, [MASKED]), first("", {"a_str": MASKED}), user({"uid": HASHED}))
    async with in_process(with_upstream(upstream, mode=mode, **rules)) as other:
        page = await sent_up(other, upstream, "/rec/page", json.dumps(PAGE).encode())
        assert json.loads(page.body)["AppId"] == HASHED
        assert (await sent_up(other, upstream, f"/rec/bundle?{IDS}", body)).body == left
        zipped = await sent_up(other, upstream, f"/rec/bundle?{IDS}&ContentEncoding=gzip", gzip.compress(body))
        assert gzip.decompress(zipped.body) == left
        other.data_plane.bypass(privacy=True)
        assert (await sent_up(other, upstream, f"/rec/bundle?{IDS}", body)).body == left
        assert (await ask(other, f"/rec/bundle?{IDS}", b"no JSON"))[0] == 400
        assert (await sent_up(other, upstream, "/rec/except", b"x")).body == b"x"
        other.data_plane.bypass(privacy=False)
        assert (await sent_up(other, upstream, f"/rec/bundle?{IDS}", body)).body == body


async def test_what_was_found_is_counted_by_rule_and_no_text_is_written(upstream: RecordingUpstream) -> None:
    async with in_process(with_upstream(upstream)) as other:
        card = "4111 1111 1111 1111"
        await sent_up(other, upstream, f"/rec/bundle?{IDS}", bundle(event(2, [ANN, ANN]), event(2, [card])))
        await sent_up(other, upstream, "/rec/page", json.dumps(PAGE).encode(), {"X-Contact": ANN})
        await other.idle()
        assert dict(other.metrics.redactions) == {("mails",): 4, ("cards",): 1, ("uids",): 1}
        lines = [
            json.loads(each.line) for each in sorted(other.data_plane.recent.lines(), key=lambda each: each.number)
        ]
        assert lines[0]["fsproxy.redactions"] == [{"rule.id": "mails", "count": 2}]
        assert lines[0]["fsproxy.shadow_redactions"] == [{"rule.id": "cards", "count": 1}]
        assert {each["rule.id"]: each["count"] for each in lines[1]["fsproxy.redactions"]} == {"mails": 2, "uids": 1}
        assert card not in str(lines)


async def test_a_fault_of_ours_sends_nothing_up(upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder keeps a bundle that is answered 502, and sends it again."""

    def fails(*_: object) -> bool:
        raise RuntimeError("a fault of ours")

    async with in_process(with_upstream(upstream)) as other:
        before = len(upstream.received)
        with monkeypatch.context() as broken:
            broken.setattr(Redaction, "may_hold", fails)
            assert (await ask(other, f"/rec/bundle?{IDS}", bundle(event(2, [ANN]))))[0] == 502
            assert (await ask(other, "/rec/page", json.dumps(PAGE).encode()))[0] == 502
        assert len(upstream.received) == before
        assert other.metrics.own_failures
        other.metrics.own_failures.clear()


# -- sockets


@pytest.mark.parametrize("how", [{}, {"socket": "tunnel"}, {"mode": "bypass"}])
async def test_frames(tmp_path: Path, how: dict[str, Any]) -> None:
    sent = event(2, [ANN]), first("A", {"a_str": ANN}), user({"uid": ANN})
    config = {"redact": {"rules": RULES}, "audit": {"key": KEY}, **how}
    async with setting(tmp_path, config) as it, it.connect() as socket:
        assert (await say(socket, page_frame(1, Url=f"https://x.example/{ANN}")))["Cmd"] == 4
        assert (await say(socket, bundle_frame(*map(json.loads, sent), seq=2)))["Cmd"] == 5
        assert (await say(socket, bundle_frame(*map(json.loads, sent[1:]), seq=3, cmd=6)))["Cmd"] == 7
        assert (await say(socket, '{"Cmd":2,"Bundle":{"Bundle":17},"Seq":4}'))["Fail"]["Status"] == 400
        assert (await say(socket, json.dumps({"Cmd": 17, "Text": ANN, "Seq": 5})))["Fail"]["Status"] == 400
        page, whole, calls = map(json.loads, it.backend.texts)
    assert page["Page"]["Url"] == f"https://x.example/{MASKED}"
    assert page["Page"]["OrgId"] == ORG
    left = event(2, [MASKED]), first("A", {"a_str": MASKED}), user({"uid": HASHED})
    assert whole["Bundle"]["Bundle"]["Evts"] == [*map(json.loads, left)]
    assert calls["Bundle"]["Bundle"]["Evts"] == [*map(json.loads, left[1:])]
