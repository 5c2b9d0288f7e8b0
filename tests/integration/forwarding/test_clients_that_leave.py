"""A request that came whole goes up though its client has left (rules.md 4), as at the end of every recording."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import ssl
from pathlib import Path
from typing import Any

import pytest

from fsproxy.http.aiohttp_parts import MAX_PIPELINED
from fsproxy.http.server import SWITCH
from support.in_process import InProcessProxy, in_process
from support.leaving import LeavingClient, Way, send_and_leave
from support.proxy import running_proxy
from support.raw_http import ServerSide, eventually, raw_client, scripted
from support.raw_upstream import silent_upstream
from support.rig import BUNDLE, ORIGIN, page
from support.upstream import RecordingUpstream
from support.valkey import running_valkey

SECONDS = 30.0
"""Seconds within which something must happen, also on a busy machine."""
QUERY = "?OrgId=o-1&UserId=u&SessionId=s-1&PageId=p-1&Seq=1"
LARGE = b'{"Seq":1,"When":0,"Evts":[%b]}' % b",".join(
    b'{"Kind":2,"Args":["%b"],"When":1}' % (b"x" * 900) for _ in range(300)
)
UPLOADS = {
    "page": ("/rec/page", json.dumps(page()).encode()),
    "bundle": ("/rec/bundle/v2" + QUERY, BUNDLE),
    "bundle for a thread": ("/rec/bundle" + QUERY, LARGE),
    "gzip": ("/rec/bundle/v2" + QUERY + "&ContentEncoding=gzip", gzip.compress(BUNDLE)),
    "event": ("/rec/event" + QUERY, BUNDLE),
    "direct": ("/client/event" + QUERY, b'{"name":"Left","properties":{}}'),
    "server": ("/v2/events", b'{"name":"Left"}'),
    "beacon": ("/rec/except", b""),
    "resource": ("/rec/uploadResource", b"r" * 700_000),
}


def post(target: str, body: bytes, method: str = "POST") -> bytes:
    return (
        f"{method} {target} HTTP/1.1\r\nHost: a\r\nOrigin: {ORIGIN}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def chunked(target: str, body: bytes) -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: a\r\nOrigin: {ORIGIN}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    half = len(body) // 2
    parts = [part for part in (body[:half], body[half:]) if part]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.fixture(params=["fast lane", "general lane"])
def _lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "general lane":
        monkeypatch.setenv(SWITCH, "off")


def audit(proxy: InProcessProxy, line: int = -1) -> dict[str, Any]:
    """Return a line of the audit file, once it is written."""
    path = proxy.data_plane.generation.config.audit.to
    lines = open(path).read().splitlines()  # noqa: SIM115, PTH123
    read: dict[str, Any] = json.loads(lines[line])
    return read


@pytest.mark.usefixtures("_lane")
@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("kind", UPLOADS)
async def test_an_upload_arrives_although_its_client_leaves_after_the_last_byte(
    upstream: RecordingUpstream, kind: str, way: Way
) -> None:
    target, body = UPLOADS[kind]
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        clients = [await send_and_leave(proxy.port, post(target, body), way) for _ in range(3)]
        received = await upstream.arrived(3, SECONDS)
        assert [one.body for one in received] == [body] * 3
        if way is Way.HALF:
            for client in clients:
                answer = await client.rest()
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
                client.close()
        await proxy.idle()


@pytest.mark.usefixtures("_lane")
@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("kind", ["bundle", "gzip", "event", "resource"])
async def test_the_last_bytes_and_the_end_may_come_in_one_read(
    upstream: RecordingUpstream, kind: str, way: Way
) -> None:
    target, body = UPLOADS[kind]
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        for made in (post(target, body), chunked(target, body)):
            before = len(upstream.received)
            client = LeavingClient(proxy.port)
            await client.send(made[:-9])
            await eventually(lambda: proxy.metrics.in_flight == 1, SECONDS)
            await client.leave(way, made[-9:])
            received = await upstream.arrived(before + 1, SECONDS)
            assert received[-1].body == body
            client.close()
            await proxy.idle()


@pytest.mark.usefixtures("_lane")
@pytest.mark.parametrize("way", [Way.CLOSE, Way.RESET])
async def test_a_body_that_did_not_come_whole_does_not_go_up(upstream: RecordingUpstream, way: Way) -> None:
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        for kind in ("page", "bundle", "event", "direct"):
            for made in (post(*UPLOADS[kind]), chunked(*UPLOADS[kind])):
                client = LeavingClient(proxy.port)
                await client.send(made[:-1])
                await eventually(lambda: proxy.metrics.in_flight == 1, SECONDS)
                await client.leave(way)
                await proxy.idle()
        assert not upstream.received


@pytest.mark.parametrize("way", Way)
async def test_the_client_may_leave_while_the_upstream_cannot_be_reached_yet(
    upstream: RecordingUpstream, way: Way
) -> None:
    await upstream.refuse()
    async with in_process({"upstream": {"url": upstream.url, "page_retry": "60s"}}) as proxy:
        client = LeavingClient(proxy.port)
        await client.leave(way, post(*UPLOADS["page"]))
        await eventually(lambda: len(proxy.data_plane.upstream.way("/", "/")[0].unattended) == 1, SECONDS)
        await upstream.accept()
        assert (await upstream.arrived(1, SECONDS))[0].body == UPLOADS["page"][1]
        client.close()
        await proxy.idle()


async def test_the_client_may_leave_while_all_connections_are_in_use(upstream: RecordingUpstream) -> None:
    config = {"upstream": {"url": upstream.url, "max_connections": 1, "timeouts": {"connect": "60s"}}}
    async with in_process(config) as proxy, raw_client(proxy.port) as other:
        upstream.hold()
        await other.send(post("/rec/beacon", b"first"))
        await upstream.arrived(1, SECONDS)
        await send_and_leave(proxy.port, post(*UPLOADS["bundle"]))
        await eventually(lambda: len(proxy.data_plane.upstream.way("/", "/")[0].unattended) == 1, SECONDS)
        upstream.release()
        assert (await upstream.arrived(2, SECONDS))[1].body == BUNDLE
        assert (await other.answer()).status == 200
        await proxy.idle()


@pytest.mark.usefixtures("_lane")
@pytest.mark.parametrize("way", [Way.CLOSE, Way.RESET])
async def test_whole_requests_that_wait_behind_others_go_up_too(upstream: RecordingUpstream, way: Way) -> None:
    bodies = [b"number %d" % number for number in range(MAX_PIPELINED * 3)]
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        upstream.hold()
        client = LeavingClient(proxy.port)
        await client.send(b"".join(post("/rec/beacon", body) for body in bodies[:2]))
        await upstream.arrived(1, SECONDS)
        rest = b"".join(post("/rec/beacon", body) for body in bodies[2:])
        await client.leave(way, rest + post("/rec/beacon", b"half of it")[:-1])
        upstream.release()
        received = await upstream.arrived(len(bodies), SECONDS)
        await proxy.idle()
        await eventually(lambda: len(proxy.server) == 0, SECONDS)
        assert [one.body for one in received] == bodies


@pytest.mark.usefixtures("_lane")
async def test_a_client_that_ended_its_side_is_answered_in_order(upstream: RecordingUpstream) -> None:
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        upstream.hold()
        client = LeavingClient(proxy.port)
        uploads = [post("/rec/beacon", b"1"), post("/rec/beacon", b"2"), post("/rec/beacon", b"3")]
        await client.leave(Way.HALF, b"".join(uploads))
        await upstream.arrived(1, SECONDS)
        upstream.release()
        assert (await client.rest()).count(b"HTTP/1.1 200 OK\r\n") == 3
        client.close()
        await proxy.idle()


@pytest.mark.usefixtures("_lane")
async def test_no_answer_is_taken_for_that_of_a_request_that_is_not_answered(upstream: RecordingUpstream) -> None:
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        upstream.hold()
        client = LeavingClient(proxy.port)
        read = b"GET /s/settings HTTP/1.1\r\nHost: a\r\n\r\n"
        await client.leave(Way.HALF, post("/rec/beacon", b"1") + read + post("/rec/beacon", b"3"))
        await upstream.arrived(1, SECONDS)
        await eventually(lambda: len(proxy.data_plane.upstream.way("/", "/")[0].unattended) == 1, SECONDS)
        upstream.release()
        received = await upstream.arrived(2, SECONDS)
        assert [one.body for one in received] == [b"1", b"3"]
        assert (await client.rest()).count(b"HTTP/1.1 ") == 1
        client.close()
        await proxy.idle()


@pytest.mark.parametrize("way", Way)
async def test_the_audit_line_says_that_the_client_left_and_what_the_upstream_answered(
    upstream: RecordingUpstream, way: Way
) -> None:
    async with in_process({"upstream": {"url": upstream.url}, "audit": {"to": "stderr"}}) as proxy:
        upstream.hold()
        records: list[Any] = []
        proxy.data_plane.audit.write = lambda line: records.append(json.loads(line))  # type: ignore[method-assign]
        client = await send_and_leave(proxy.port, post(*UPLOADS["bundle"]), way)
        await upstream.arrived(1, SECONDS)
        await eventually(lambda: proxy.metrics.in_flight == 1, SECONDS)
        upstream.release()
        await proxy.idle()
        client.close()
    (record,) = records
    statuses = record["fsproxy.upstream.status_code"], record["http.response.status_code"]
    assert (record["fsproxy.error"], *statuses) == ("client_gone", 200, 200)
    assert (record["fsproxy.decision"], record["event.outcome"]) == ("forwarded", "success")


async def test_an_upstream_that_fails_is_what_the_line_says(upstream: RecordingUpstream) -> None:
    await upstream.refuse()
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        records: list[Any] = []
        proxy.data_plane.audit.write = lambda line: records.append(json.loads(line))  # type: ignore[method-assign]
        await send_and_leave(proxy.port, post(*UPLOADS["bundle"]), Way.RESET)
        await eventually(lambda: bool(records), SECONDS)
    (record,) = records
    assert (record["fsproxy.error"], record["fsproxy.decision"]) == ("upstream_refused", "failed")


async def test_the_exchange_keeps_its_time_limits() -> None:
    async with silent_upstream() as port:
        config = {"upstream": {"url": f"http://127.0.0.1:{port}", "timeouts": {"response": "300ms"}}}
        async with in_process(config) as proxy:
            await send_and_leave(proxy.port, post(*UPLOADS["bundle"]))
            await eventually(lambda: proxy.metrics.upstream_failures[("upstream_timeout",)] == 1, SECONDS)
            await proxy.idle()
            assert proxy.data_plane.upstream.connections == 0


@pytest.mark.parametrize("pace", ["endless", "dripping"])
async def test_an_answer_that_nobody_reads_is_read_for_so_long_and_no_longer(pace: str) -> None:
    ended = asyncio.Event()

    async def serve(side: ServerSide) -> None:
        await side.whole_request()
        await side.say(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
        try:
            while True:
                await side.say(b"x" * (65_536 if pace == "endless" else 1))
                await asyncio.sleep(0 if pace == "endless" else 0.05)
        finally:
            ended.set()

    async with scripted(serve) as upstream:
        config = {"upstream": {"url": upstream.url, "timeouts": {"response": "60s" if pace == "endless" else "500ms"}}}
        async with in_process(config) as proxy:
            await send_and_leave(proxy.port, post(*UPLOADS["bundle"]), Way.RESET)
            async with asyncio.timeout(SECONDS):
                await ended.wait()
            await proxy.idle()


async def test_stopping_waits_for_what_goes_on_without_its_client(upstream: RecordingUpstream) -> None:
    async with running_proxy({"upstream": {"url": upstream.url}, "server": {"drain": "60s"}}) as proxy:
        upstream.hold()
        await send_and_leave(proxy.port, post("/rec/beacon", b"1") + post("/rec/beacon", b"2"))
        await upstream.arrived(1, SECONDS)
        proxy.signal(signal.SIGTERM)
        async with asyncio.timeout(SECONDS):
            while "draining" not in proxy.log_text():
                await asyncio.sleep(0.01)
        upstream.release()
        assert [one.body for one in await upstream.arrived(2, SECONDS)] == [b"1", b"2"]
        async with asyncio.timeout(SECONDS):
            assert await proxy.process.wait() == 0


async def test_a_client_may_leave_while_a_store_is_waited_for(upstream: RecordingUpstream) -> None:
    with running_valkey() as valkey:
        state = {"backend": "redis", "redis": {"url": valkey.url, "timeout": "20s"}}
        async with in_process({"upstream": {"url": upstream.url}, "state": state}) as proxy:
            valkey.pause()
            for way in (Way.CLOSE, Way.RESET):
                await send_and_leave(proxy.port, post(*UPLOADS["page"]), way)
                await send_and_leave(proxy.port, post(*UPLOADS["bundle"]), way)
            await eventually(lambda: proxy.metrics.in_flight == 4, SECONDS)
            assert not upstream.received
            valkey.resume()
            await upstream.arrived(4, SECONDS)
            await proxy.idle()
        bodies = [one.body for one in upstream.received]
        assert (bodies.count(BUNDLE), bodies.count(UPLOADS["page"][1])) == (2, 2)


async def test_a_client_of_tls_may_leave_too(upstream: RecordingUpstream, tmp_path: Path) -> None:
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = await asyncio.create_subprocess_exec(
        *make, "-keyout", str(key), "-out", str(certificate), stderr=asyncio.subprocess.DEVNULL
    )
    assert await made.wait() == 0
    trusting = ssl.create_default_context(cafile=str(certificate))
    tls = {"cert": str(certificate), "key": str(key)}
    async with running_proxy({"upstream": {"url": upstream.url}, "listen": {"tls": tls}}) as proxy:
        upstream.hold()
        for broken in (False, True):
            before = len(upstream.received)
            async with raw_client(proxy.port, ssl=trusting, server_hostname="localhost") as client:
                await client.send(post("/rec/beacon", b"1") + post("/rec/beacon", b"2"))
                await upstream.arrived(before + 1, SECONDS)
                if broken:
                    client.abort()
                else:
                    client.writer.close()
            upstream.release()
            received = await upstream.arrived(before + 2, SECONDS)
            assert [one.body for one in received[before:]] == [b"1", b"2"]


async def test_a_client_reset_before_it_was_accepted_is_not_trusted_as_a_unix_peer(
    upstream: RecordingUpstream,
) -> None:
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        forged = post(*UPLOADS["bundle"]).replace(b"Origin", b"X-Forwarded-For: 203.0.113.9\r\nOrigin", 1)
        await send_and_leave(proxy.port, forged, Way.RESET)
        (received,) = await upstream.arrived(1, SECONDS)
        assert received.value("X-Forwarded-For") in {"unknown", "203.0.113.9, 127.0.0.1"}
        await proxy.idle()
