"""nginx and Caddy as the deployment files run them, in front of a real proxy: skipped where they are not installed, but in CI."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

import fsproxy
from support.ports import free_ports
from support.proxy import POLL, running_proxy
from support.tools import tool
from support.upstream import RecordingUpstream

DEPLOY = Path(fsproxy.__file__).parents[1] / "config" / "deploy"
START_SECONDS = 20.0
HOST = "capture.example.com"
CLAIMS = {
    "X-Forwarded-For": "192.0.2.66",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Host": "evil.example",
    "Forwarded": "for=192.0.2.66",
    "X-Request-Id": "mine",
    "CF-IPCountry": "CU",
}
"""What a visitor says of himself; none of it may be believed."""


@dataclass(frozen=True, slots=True)
class Front:
    """What stands in front, and how to ask it."""

    url: str
    session: aiohttp.ClientSession
    proxy_port: int


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


def _replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def nginx_command(folder: Path, port: int, proxy_port: int) -> list[str]:
    """Our file, for nginx, in a main one: other ports and another certificate, nothing else."""
    nginx = tool("nginx")
    changes = {
        "listen 443 ssl http2": f"listen 127.0.0.1:{port} ssl http2",
        "listen [::]:443 ssl http2;": "",
        "127.0.0.1:8080": f"127.0.0.1:{proxy_port}",
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


def caddy_command(folder: Path, port: int, proxy_port: int) -> list[str]:
    """Caddy with our file: another port and a certificate of its own making, nothing else."""
    caddy = tool("caddy")
    text = _replaced(
        (DEPLOY / "caddy" / "Caddyfile").read_text(),
        {
            "\ncapture.example.com {": f"\nhttps://capture.example.com:{port} {{\n\ttls cert.pem key.pem",
            "127.0.0.1:8080": f"127.0.0.1:{proxy_port}",
        },
    )
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
    return [caddy, "run", "--adapter", "caddyfile", "--config", "Caddyfile"]


@asynccontextmanager
async def _front(command: list[str], folder: Path, port: int, proxy_port: int) -> AsyncIterator[Front]:
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
            yield Front(url, session, proxy_port)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


class _Loopback(aiohttp.abc.AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing is open."""


Commands = Callable[[Path, int, int], list[str]]
FRONTS = pytest.mark.parametrize("command", [nginx_command, caddy_command], ids=["nginx", "caddy"])


async def _through(
    command: Commands, folder: Path, upstream: RecordingUpstream, use: Callable[[Front], Awaitable[None]]
) -> list[dict[str, object]]:
    """Use a front before a proxy before the upstream; the audit lines."""
    config = {
        "upstream": {"url": upstream.url},
        "filters": {"geo": {"never": ["CU"]}},
        "audit": {"client_ip": "full"},
    }
    (port,) = free_ports(1)
    async with running_proxy(config) as proxy:
        built = command(folder, port, proxy.port)
        _certificate(folder)
        async with _front(built, folder, port, proxy.port) as front:
            await use(front)
        return proxy.audit_lines()


def test_nginx_finds_no_fault_in_its_file(tmp_path: Path) -> None:
    command = nginx_command(tmp_path, *free_ports(2))
    _certificate(tmp_path)
    done = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=START_SECONDS, check=False)
    assert done.returncode == 0, done.stderr


@FRONTS
async def test_nothing_that_a_visitor_says_of_himself_is_believed(
    command: Commands, tmp_path: Path, upstream: RecordingUpstream
) -> None:
    async def use(front: Front) -> None:
        page = {"OrgId": "o-1", "Url": "https://www.example.com/", "PageId": "p", "UserId": ""}
        async with front.session.post(f"{front.url}/rec/page", json=page, headers=CLAIMS) as answer:
            assert answer.status == 200

    await _through(command, tmp_path, upstream, use)
    sent = upstream.only()
    # The visitor, then what stands in front: both are this machine.
    assert sent.value("X-Forwarded-For") in {"127.0.0.1", "127.0.0.1, 127.0.0.1"}
    assert sent.value("X-Forwarded-Proto") == "https"
    assert (sent.value("X-Forwarded-Host") or "").startswith(HOST)
    assert sent.value("Forwarded") is None
    assert sent.value("CF-IPCountry") is None
    assert sent.value("X-Request-Id") not in {None, "mine"}


@FRONTS
async def test_the_recorders_socket_is_upgraded(command: Commands, tmp_path: Path, upstream: RecordingUpstream) -> None:
    async def use(front: Front) -> None:
        async with front.session.ws_connect(f"{front.url}/rec/sock?OrgId=o-1") as socket:
            await socket.send_str("hello")
            assert (await socket.receive_str()).endswith("hello")

    await _through(command, tmp_path, upstream, use)


@FRONTS
async def test_a_proxy_that_is_not_there_is_a_502_which_recorders_try_again(command: Commands, tmp_path: Path) -> None:
    port, nobody = free_ports(2)
    built = command(tmp_path, port, nobody)
    _certificate(tmp_path)
    async with _front(built, tmp_path, port, nobody) as front:
        async with front.session.post(f"{front.url}/rec/bundle/v2?OrgId=o-1", data=b"{}") as answer:
            assert answer.status == 502


async def test_nginx_answers_413_to_a_body_over_the_limit_before_it_comes(
    tmp_path: Path, upstream: RecordingUpstream
) -> None:
    async def use(front: Front) -> None:
        port = int(front.url.rpartition(":")[2])
        trust = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=HOST)
        # The length alone: nothing of the body is needed to refuse it.
        head = f"POST /rec/bundle/v2?OrgId=o-1 HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {64 * 2**20 + 1}\r\n\r\n"
        writer.write(head.encode())
        try:
            assert (await reader.readline()).split()[1] == b"413"
        finally:
            writer.transport.abort()

    await _through(nginx_command, tmp_path, upstream, use)
    assert upstream.received == []
