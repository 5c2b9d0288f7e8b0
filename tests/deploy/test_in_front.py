"""nginx, Caddy and HAProxy as the deployment files run them, before a real proxy: skipped where they are missing, but in CI."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

import fsproxy
from fsproxy.core.wire.header_names import FORWARDING
from support.ports import free_ports
from support.proxy import POLL, RunningProxy, running_proxy
from support.raw_http import RawClient, ServerSide, raw_client, scripted
from support.tools import tool
from support.upstream import RecordingUpstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEPLOY = Path(fsproxy.__file__).parents[1] / "config" / "deploy"
START_SECONDS = 20.0
HOST = "capture.example.com"
LIAR = "192.0.2.66"
CLAIMS = {name.decode(): LIAR for name in sorted(FORWARDING)} | {
    "x-forwarded-proto": "gopher",
    "x-forwarded-host": "evil.example",
    "forwarded": f"for={LIAR}",
    "x-request-id": "mine",
    "cf-ipcountry": "CU",
}
"""What a visitor says of himself; none of it may be believed. An address that is, is blocked."""


@dataclass(frozen=True, slots=True)
class Front:
    """What stands in front, and how to ask it."""

    url: str
    session: aiohttp.ClientSession
    port: int
    trust: ssl.SSLContext

    def connected(self) -> AbstractAsyncContextManager[RawClient]:
        """A connection on which the test writes its own bytes."""
        return raw_client(self.port, ssl=self.trust, server_hostname=HOST)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the front listens, and fsproxy behind it with its admin port."""

    front: int
    proxy: int
    admin: int


def _certificate(folder: Path) -> None:
    subprocess.run(
        [
            *(tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"),
            *("-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (folder / "both.pem").write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())


def _replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def nginx_command(folder: Path, ports: Ports) -> list[str]:
    """Our file, for nginx, in a main one: other ports and another certificate, nothing else."""
    nginx = tool("nginx")
    changes = {
        "listen 443 ssl http2": f"listen 127.0.0.1:{ports.front} ssl http2",
        "listen [::]:443 ssl http2;": "",
        "127.0.0.1:8080": f"127.0.0.1:{ports.proxy}",
        "/etc/nginx/tls/capture.example.com.pem": str(folder / "cert.pem"),
        "/etc/nginx/tls/capture.example.com.key": str(folder / "key.pem"),
    }
    (folder / "fsproxy.conf").write_text(_replaced((DEPLOY / "nginx" / "fsproxy.conf").read_text(), changes))
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary} include {folder}/fsproxy.conf; }}\n"
    )
    return [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy_command(folder: Path, ports: Ports) -> list[str]:
    """Caddy with our file: another port and a certificate of its own making, nothing else."""
    caddy = tool("caddy")
    text = _replaced(
        (DEPLOY / "caddy" / "Caddyfile").read_text(),
        {
            "\ncapture.example.com {": f"\nhttps://capture.example.com:{ports.front} {{\n\ttls cert.pem key.pem",
            "127.0.0.1:8080": f"127.0.0.1:{ports.proxy}",
        },
    )
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
    return [caddy, "run", "--adapter", "caddyfile", "--config", "Caddyfile"]


def _haproxy(folder: Path, name: str, changes: dict[str, str]) -> list[str]:
    changes |= {"    user haproxy\n    group haproxy\n": "", "maxconn 10000": "maxconn 500"}
    (folder / name).write_text(_replaced((DEPLOY / "haproxy" / name).read_text(), changes))
    return [tool("haproxy"), "-db", "-f", str(folder / name)]


def haproxy_command(folder: Path, ports: Ports) -> list[str]:
    """HAProxy with our file: other ports and another certificate, nothing else."""
    changes = {
        "bind :443 ssl crt /etc/haproxy/tls/capture.example.com.pem": f"bind 127.0.0.1:{ports.front} ssl crt {folder}/both.pem",
        "127.0.0.1:8080": f"127.0.0.1:{ports.proxy}",
        "port 8081": f"port {ports.admin}",
    }
    return _haproxy(folder, "haproxy.cfg", changes)


def haproxy_tcp_command(folder: Path, ports: Ports) -> list[str]:
    """The same, passing bytes. It connects from an address of its own, so that this machine is not trusted as a visitor."""
    changes = {
        "bind :443": f"bind 127.0.0.1:{ports.front}",
        "127.0.0.1:8443": f"127.0.0.1:{ports.proxy} source 127.0.0.2",
        "port 8081": f"port {ports.admin}",
    }
    return _haproxy(folder, "haproxy-tcp.cfg", changes)


@asynccontextmanager
async def _front(command: list[str], folder: Path, port: int) -> AsyncIterator[Front]:
    trust = ssl.create_default_context(cafile=folder / "cert.pem")
    # The name is the certificate's; the address is this machine's.
    resolver = aiohttp.TCPConnector(ssl=trust, resolver=_Loopback())
    with (folder / "said").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env={"HOME": str(folder), "PATH": ""}, stdout=said, stderr=said
        )
    try:
        async with aiohttp.ClientSession(connector=resolver) as session:
            url = f"https://{HOST}:{port}"
            async with asyncio.timeout(START_SECONDS):
                while True:
                    assert process.returncode is None, (folder / "said").read_text()
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        writer.close()
                        await writer.wait_closed()
                        break
                    except OSError:
                        await asyncio.sleep(POLL)
            yield Front(url, session, port, trust)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


class _Loopback(aiohttp.abc.AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing is open."""


Commands = Callable[[Path, Ports], list[str]]
READING: dict[str, Commands] = {"nginx": nginx_command, "caddy": caddy_command, "haproxy": haproxy_command}
"""Those that read HTTP."""
FRONTS = {**READING, "haproxy-tcp": haproxy_tcp_command}


PART = bytes(100 * 1024)


class InParts:
    """An upstream that says when a part of a body has come, and answers by parts."""

    def __init__(self) -> None:
        self.came, self.seen = asyncio.Event(), asyncio.Event()

    async def serve(self, side: ServerSide) -> None:
        await side.request()
        await side.reader.readuntil(PART)
        self.came.set()
        await side.reader.readuntil(b"end")
        await side.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await self.seen.wait()
        await side.say(b"4\r\nlast\r\n0\r\n\r\n")


@dataclass(frozen=True, slots=True)
class Chain:
    """A front, a proxy behind it, and upstreams behind that."""

    front: Front
    proxy: RunningProxy
    upstream: RecordingUpstream
    parts: InParts
    """Where ``/upload`` goes."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=FRONTS)
async def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chain]:
    folder = tmp_path_factory.mktemp(request.param)
    _certificate(folder)
    parts = InParts()
    async with RecordingUpstream() as upstream, scripted(parts.serve) as streams:
        config: dict[str, Any] = {
            "upstream": {"url": upstream.url, "prefixes": {"/upload": streams.url}},
            "filters": {"geo": {"never": ["CU"]}, "ip": {"block": [LIAR]}},
            "audit": {"client_ip": "full"},
        }
        if request.param == "haproxy-tcp":
            tls = {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
            config["listen"] = {"tls": tls, "proxy_protocol": True}
            config["client_ip"] = {"trusted_proxies": ["127.0.0.2"]}
        (port,) = free_ports(1)
        async with running_proxy(config) as proxy:
            command = FRONTS[request.param](folder, Ports(port, proxy.port, proxy.admin_port))
            async with _front(command, folder, port) as front:
                yield Chain(front, proxy, upstream, parts)


@pytest.mark.parametrize(
    ("command", "option"), [(nginx_command, "-t"), (haproxy_command, "-c"), (haproxy_tcp_command, "-c")]
)
async def test_no_fault_is_found_in_its_file(command: Commands, option: str, tmp_path: Path) -> None:
    built = command(tmp_path, Ports(*free_ports(3)))
    _certificate(tmp_path)
    process = await asyncio.create_subprocess_exec(
        *built, option, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert b"WARNING" not in said, said.decode()


async def test_nothing_that_a_visitor_says_of_himself_is_believed(chain: Chain) -> None:
    page = {"OrgId": "o-1", "Url": "https://www.example.com/", "PageId": "p", "UserId": ""}
    async with chain.front.session.post(f"{chain.front.url}/rec/page", json=page, headers=CLAIMS) as answer:
        assert answer.status == 200
        request_id = answer.headers["X-Request-Id"]
    (line,) = await chain.proxy.audit(1)
    assert (line["client.ip"], line["http.request.id"]) == ("127.0.0.1", request_id)
    sent = chain.upstream.only()
    assert [pair for pair in sent.headers if LIAR.encode() in pair[1]] == []
    # The visitor, then what stands in front: both are this machine.
    assert sent.value("X-Forwarded-For") in {"127.0.0.1", "127.0.0.1, 127.0.0.1"}
    assert sent.value("X-Forwarded-Proto") == "https"
    assert (sent.value("X-Forwarded-Host") or "").startswith(HOST)
    assert sent.value("X-Request-Id") == request_id != "mine"


async def test_the_recorders_socket_is_upgraded(chain: Chain) -> None:
    async with chain.front.session.ws_connect(f"{chain.front.url}/rec/sock?OrgId=o-1") as socket:
        await socket.send_str("hello")
        assert (await socket.receive_str()).endswith("hello")


async def test_what_streams_is_held_back_neither_way(chain: Chain) -> None:
    head = f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(PART) + 3}\r\n\r\n"
    async with chain.front.connected() as client, asyncio.timeout(START_SECONDS):
        await client.send(head.encode(), PART)
        await chain.parts.came.wait()
        await client.send(b"end")
        await client.reader.readuntil(b"first")
        chain.parts.seen.set()
        await client.reader.readuntil(b"last")


@pytest.mark.parametrize("chain", ["nginx", "haproxy", "haproxy-tcp"], indirect=True)
async def test_a_body_over_the_limit_is_413_before_it_comes(chain: Chain) -> None:
    before = len(chain.upstream.received)
    # The length alone: nothing of the body is needed to refuse it.
    head = f"POST /rec/bundle/v2?OrgId=o-1 HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {64 * 2**20 + 1}\r\n\r\n"
    async with chain.front.connected() as client, asyncio.timeout(START_SECONDS):
        await client.send(head.encode())
        assert (await client.reader.readline()).split()[1] == b"413"
    assert len(chain.upstream.received) == before


@pytest.mark.parametrize("command", READING.values(), ids=READING)
async def test_a_proxy_that_is_not_there_is_a_502_which_recorders_try_again(command: Commands, tmp_path: Path) -> None:
    ports = Ports(*free_ports(3))
    built = command(tmp_path, ports)
    _certificate(tmp_path)
    async with _front(built, tmp_path, ports.front) as front:
        async with front.session.post(f"{front.url}/rec/bundle/v2?OrgId=o-1", data=b"{}") as answer:
            assert answer.status == 502
