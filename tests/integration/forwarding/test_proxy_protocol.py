"""Clients that a balancer on layer 4 announces in PROXY headers, and connections that are closed for want of one."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fsproxy.http import header_listener
from fsproxy.http.header_listener import HeaderListener
from fsproxy.telemetry.conditions import Condition
from support.in_process import InProcessProxy, bound, in_process
from support.proxy import running_proxy
from support.proxy_headers import LOCAL, TCP4, TCP6, UNIX, UNSPECIFIED, block, checked, field, over
from support.raw_http import RawAnswer, RawClient, eventually, raw_client
from support.rig import page
from support.tools import tool
from support.upstream import RecordingUpstream

CLIENT = "203.0.113.7"
V1 = b"PROXY TCP4 203.0.113.7 10.0.0.1 5555 80\r\n"
V2 = over(TCP4, CLIENT)


@asynccontextmanager
async def behind(
    upstream: RecordingUpstream, config: Mapping[str, Any] | None = None, **tls: Any
) -> AsyncIterator[InProcessProxy]:
    """A proxy behind balancers on this machine."""
    whole = {"upstream": {"url": upstream.url}, "listen": {"proxy_protocol": True}, **(config or {})}
    async with in_process(whole, **tls) as proxy:
        yield proxy


def request(headers: Mapping[str, str] | None = None, path: str = "/rec/page", **fields: Any) -> bytes:
    """A page's request."""
    body = json.dumps(page(**fields)).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"POST {path} HTTP/1.1\r\nHost: relay.example.com\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    return head.encode() + body


async def asked(proxy: InProcessProxy, *parts: bytes) -> RawAnswer:
    async with raw_client(proxy.port) as client:
        return await client.ask(*parts)


def conditions(proxy: InProcessProxy) -> list[Condition]:
    return [each for each in proxy.data_plane.conditions.present() if each.id.startswith("proxy_header:")]


def faults(proxy: InProcessProxy) -> dict[str, int]:
    return {kind: count for (kind,), count in proxy.metrics.proxy_headers.items() if count}


CHAINS = {
    V1: CLIENT,
    V2: CLIENT,
    b"PROXY TCP6 2001:db8::7 ::1 5555 80\r\n": "2001:db8::7",
    over(TCP6, "2001:db8::7"): "2001:db8::7",
    over(TCP6, "::ffff:203.0.113.7"): CLIENT,
    checked(TCP4, CLIENT, field(0x04, bytes(9000))): CLIENT,
    b"PROXY UNKNOWN\r\n": "unknown",
    block(UNSPECIFIED, b""): "unknown",
    block(UNIX, bytes(216)): "unknown",
    block(UNSPECIFIED, b"", LOCAL): "127.0.0.1",
}


async def test_the_client_is_the_one_that_the_header_names(upstream: RecordingUpstream) -> None:
    async with behind(upstream) as proxy:
        for header in CHAINS:
            assert (await asked(proxy, header, request())).status == 200
        assert [each.value("X-Forwarded-For") for each in upstream.received] == list(CHAINS.values())
        assert faults(proxy) == {}


async def test_a_header_may_come_in_any_pieces(upstream: RecordingUpstream) -> None:
    async with behind(upstream) as proxy:
        for header in (V1, checked(TCP4, CLIENT, field(0x04, bytes(30)))):
            async with raw_client(proxy.port) as client:
                client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in header:
                    await client.send(bytes([byte]))
                    await asyncio.sleep(0)
                assert (await client.ask(request())).status == 200
                # The connection goes on as any other.
                assert (await client.ask(request())).status == 200
        assert [each.value("X-Forwarded-For") for each in upstream.received] == [CLIENT] * 4


async def test_what_the_client_says_of_itself_counts_as_from_any_peer(upstream: RecordingUpstream) -> None:
    claims = {"X-Forwarded-For": "192.0.2.66", "X-Request-Id": "mine"}
    config = {
        "client_ip": {"trusted_proxies": ["127.0.0.0/8", "198.51.100.0/24"]},
        "filters": {"ip": {"block": [CLIENT, "192.0.2.99"]}},
    }
    async with behind(upstream, config) as proxy:
        # A visitor's word is nothing, though it came through a trusted balancer ...
        assert (await asked(proxy, V1.replace(b".7", b".8"), request(claims))).status == 200
        assert upstream.received[-1].value("X-Forwarded-For") == "203.0.113.8"
        assert upstream.received[-1].value("X-Request-Id") != "mine"
        assert (await asked(proxy, V1, request({"X-Forwarded-For": "203.0.113.8"}))).status == 202
        # ... and that of a trusted proxy before the balancer counts.
        cdn = over(TCP4, "198.51.100.1")
        assert (await asked(proxy, cdn, request(claims))).status == 200
        assert upstream.received[-1].value("X-Forwarded-For") == "192.0.2.66, 198.51.100.1"
        assert upstream.received[-1].value("X-Request-Id") == "mine"
        assert (await asked(proxy, cdn, request({"X-Forwarded-For": "192.0.2.99"}))).status == 202
        assert proxy.metrics.forwarding_dropped[()] == 2


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        ("missing", (request(), b"\x16\x03\x01\x02\x00")),
        (
            "malformed",
            (
                b"PROXY TCP4 203.0.113.7\r\n",
                b"PROXY " + b"x" * 200,
                over(TCP4, CLIENT, b"\x04\x00"),
                block(TCP4, b"\x00" * 60000),
            ),
        ),
    ],
)
async def test_a_trusted_peer_without_a_valid_header_is_closed_and_named(
    upstream: RecordingUpstream, fault: str, sent: tuple[bytes, ...]
) -> None:
    async with behind(upstream) as proxy:
        for each in sent:
            async with raw_client(proxy.port) as client:
                await client.send(each)
                assert await client.closed()
        assert faults(proxy) == {fault: len(sent)}
        (found,) = conditions(proxy)
        assert (found.id, found.count) == (f"proxy_header:{fault}", len(sent))
        assert found.text.startswith("connections from 127.0.0.1 are closed: ")
        # Others are served.
        assert (await asked(proxy, V1, request())).status == 200
    assert len(upstream.received) == 1


async def test_a_header_that_ends_or_takes_too_long_is_closed(upstream: RecordingUpstream) -> None:
    async with behind(upstream, {"server": {"header_timeout": "200ms"}}) as proxy:
        async with raw_client(proxy.port) as cut, raw_client(proxy.port) as slow, raw_client(proxy.port) as silent:
            await cut.send(V1[:-1])
            cut.writer.write_eof()
            await slow.send(V2[:-1])
            assert [await each.closed() for each in (cut, slow, silent)] == [True] * 3
        # One that sends nothing only wants to know whether anybody listens.
        assert faults(proxy) == {"incomplete": 2}


async def test_who_is_not_trusted_is_not_read(upstream: RecordingUpstream) -> None:
    async with behind(upstream, {"client_ip": {"trusted_proxies": ["192.0.2.0/24"]}}) as proxy:
        for sent in (V1, V2, b""):
            async with raw_client(proxy.port) as client:
                client.writer.write(sent and sent + request())
                assert await client.closed()
        assert faults(proxy) == {"untrusted": 3}
        (found,) = conditions(proxy)
        assert (found.id, found.fields["address"]) == ("proxy_header:untrusted", "127.0.0.0")
        # A reload may come to trust it.
        proxy.reload({"upstream": {"url": upstream.url}, "client_ip": {"trusted_proxies": ["127.0.0.1"]}})
        assert (await asked(proxy, V1, request())).status == 200


async def test_a_second_header_is_no_request_and_changes_no_address(upstream: RecordingUpstream) -> None:
    async with behind(upstream) as proxy:
        for second in (V1, V2, V1.replace(b".7", b".8")):
            assert (await asked(proxy, V1, second, request())).status == 400
            async with raw_client(proxy.port) as client:
                assert (await client.ask(V1, request())).status == 200
                assert (await client.ask(second, request())).status == 400
        # It is not the one that a connection should begin with.
        assert faults(proxy) == {}
    assert [each.value("X-Forwarded-For") for each in upstream.received] == [CLIENT] * 3


@pytest.mark.parametrize("header", [V1, V2, b"PROXY UNKNOWN\r\n", block(UNSPECIFIED, b"", LOCAL)])
@pytest.mark.parametrize("apart", [False, True])
async def test_a_header_that_nobody_expects_is_named_as_one(
    upstream: RecordingUpstream, header: bytes, *, apart: bool
) -> None:
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        # Garbage of another kind says nothing about a balancer.
        assert (await asked(proxy, b"PROXYING / HTTP/1.1\r\n\r\n")).status == 400
        assert faults(proxy) == {}
        async with raw_client(proxy.port) as client:
            for part in (header, request()) if apart else (header + request(),):
                client.writer.write(part)
                await asyncio.sleep(0)
            assert (await client.answer()).status == 400
        assert faults(proxy) == {"unexpected": 1}
        (found,) = conditions(proxy)
        # It may be a visitor, so only its network is named.
        assert (found.id, found.fields["address"]) == ("proxy_header:unexpected", "127.0.0.0")
        assert found.text == (
            "connections from 127.0.0.0 are answered 400: they begin with a PROXY header, and listen.proxy_protocol is off"
        )
        assert found.text in proxy.data_plane.conditions.warnings()
    assert not upstream.received


async def test_a_socket_has_the_clients_address(upstream: RecordingUpstream) -> None:
    upgrade = (
        b"GET /rec/sock?OrgId=o-1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with behind(upstream, {"socket": "tunnel"}) as proxy:
        assert (await asked(proxy, V2, upgrade)).status == 101
        assert upstream.only().value("X-Forwarded-For") == CLIENT


async def test_a_client_of_tls_is_known_as_such_and_may_end_its_side(upstream: RecordingUpstream) -> None:
    header = over(TCP4, CLIENT, field(0x20, b"\x01" + bytes(4)))
    async with behind(upstream) as proxy, raw_client(proxy.port) as client:
        await client.send(header, request())
        client.writer.write_eof()
        assert (await client.answer()).status == 200
    assert upstream.only().value("X-Forwarded-Proto") == "https"


async def test_more_connections_than_are_taken_wait_for_no_header(upstream: RecordingUpstream) -> None:
    async with behind(upstream, {"server": {"max_connections": 1}}) as proxy:
        async with raw_client(proxy.port) as waiting, raw_client(proxy.port) as another:
            assert await another.closed()
            assert (await waiting.ask(V1, request())).status == 200
        await eventually(lambda: len(proxy.server) == 0)
        assert (await asked(proxy, V1, request())).status == 200


async def test_without_a_descriptor_it_waits_and_accepts_again(
    upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Exhausted(socket.socket):
        left = 2

        def accept(self) -> tuple[socket.socket, Any]:
            if self.left:
                self.left -= 1
                raise OSError(24, "Too many open files")
            return super().accept()

    monkeypatch.setattr(header_listener, "PAUSE_SECONDS", 0.01)
    async with behind(upstream) as proxy:
        with bound() as spare:
            sock = Exhausted(fileno=spare.detach())
        listener = HeaderListener(sock, proxy.server, 10)
        async with raw_client(sock.getsockname()[1]) as client:
            assert (await client.ask(V1, request())).status == 200
        assert sock.left == 0
        listener.close()
        assert listener.sockets == ()


async def test_a_unix_socket_may_have_headers_as_well(upstream: RecordingUpstream, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    config = {"upstream": {"url": upstream.url}, "listen": {"unix": path, "proxy_protocol": True}}
    async with running_proxy(config) as proxy:
        for header, chain in ((V1, CLIENT), (block(UNSPECIFIED, b"", LOCAL), "unknown")):
            async with raw_client(unix=path) as client:
                assert (await client.ask(header, request())).status == 200
            assert upstream.received[-1].value("X-Forwarded-For") == chain
        async with raw_client(unix=path) as client:
            await client.send(request())
            assert await client.closed()
        await eventually(lambda: "connections from the unix socket are closed" in proxy.log_text())
        # While the program stops, what was accepted is still served, and what never says anything is not waited for.
        async with raw_client(unix=path) as silent, raw_client(unix=path) as late:
            await late.send(V2[:-1])
            await asyncio.sleep(0)
            await late.send(V2[-1:], request())
            await proxy.stop()
            assert (await late.answer()).status == 200
            assert await silent.closed()


# -- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1, with its key."""
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    subprocess.run(
        [tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


def tls_options(certificate: Path) -> dict[str, Any]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return {"ssl": context, "ssl_handshake_timeout": 10.0}


class TlsClient:
    """TLS by hand, so that a header and the first record may be written at once."""

    def __init__(self, client: RawClient, certificate: Path) -> None:
        self._client = client
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=certificate)
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="127.0.0.1")

    async def ask(self, before: bytes, data: bytes) -> bytes:
        """Write ``before`` and the first record at once; then what is asked. Return the beginning of the answer."""
        await self._do(self._tls.do_handshake, before)
        self._tls.write(data)
        return bytes(await self._do(lambda: self._tls.read(4096), b""))

    async def _do(self, step: Any, before: bytes) -> Any:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await self._client.send(before, self._out.read())
                before = b""
                self._in.write(await self._client.reader.read(65536))
            else:
                await self._client.send(self._out.read())
                return done


async def test_a_header_stands_before_the_handshake_also_in_one_segment(
    upstream: RecordingUpstream, certificate: Path
) -> None:
    async with behind(upstream, **tls_options(certificate)) as proxy:
        for header in (V1, V2, checked(TCP4, CLIENT, field(0x04, bytes(5000)))):
            async with raw_client(proxy.port) as client:
                answer = await TlsClient(client, certificate).ask(header, request())
                assert answer.startswith(b"HTTP/1.1 200 ")
    for sent in upstream.received:
        assert (sent.value("X-Forwarded-For"), sent.value("X-Forwarded-Proto")) == (CLIENT, "https")


async def test_a_handshake_that_fails_is_no_fault_of_ours(upstream: RecordingUpstream, certificate: Path) -> None:
    async with behind(upstream, **tls_options(certificate)) as proxy:
        async with raw_client(proxy.port) as plain:
            await plain.send(V1, request())
            await plain.rest()
        async with raw_client(proxy.port) as gone:
            await gone.send(V1)
        async with raw_client(proxy.port) as client:
            assert (await TlsClient(client, certificate).ask(V2, request())).startswith(b"HTTP/1.1 200 ")
        assert faults(proxy) == {}
    assert len(upstream.received) == 1
