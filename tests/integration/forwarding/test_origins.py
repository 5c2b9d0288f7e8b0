"""Where requests go (prefixes, path prefixes, TLS with verification), and where they come from (TLS, a unix socket)."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.in_process import in_process
from support.proxy import running_proxy
from support.raw_http import ServerSide, raw_client, scripted
from support.upstream import RecordingUpstream, status

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


async def test_the_longest_prefix_names_the_upstream_and_urls_may_have_a_path() -> None:
    def anything() -> RecordingUpstream:
        return RecordingUpstream(answer=status(200), allow_unexpected=True)

    async with anything() as main, anything() as static, anything() as deep:
        prefixes = {"/s/": static.url, "/s/deep/": f"{deep.url}/below/"}
        async with in_process({"upstream": {"url": f"{main.url}/base", "prefixes": prefixes}}) as proxy:
            async with raw_client(proxy.port) as client:
                for target in ("/s/a?b=%zz", "/s/deep/c", "/s", "/rec/x", "/S/a"):
                    assert (await client.ask(get(target))).status == 200
        assert [one.target for one in static.received] == ["/s/a?b=%zz"]
        assert [one.target for one in deep.received] == ["/below/s/deep/c"]
        assert [one.target for one in main.received] == ["/base/s", "/base/rec/x", "/base/S/a"]
        assert static.only().value("Host") == f"127.0.0.1:{static.port}"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


def server_side(certificates: Path, *, ask: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    if ask:
        context.load_verify_locations(certificates / "cert.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.mark.parametrize("ask", [False, True])
@pytest.mark.parametrize(
    ("tls", "expected"),
    [({}, 502), ({"ca": "cert.pem"}, 200), ({"verify": False}, 200), ({"ca": "cert.pem", "pair": True}, 200)],
)
async def test_the_upstreams_certificate_is_verified_and_ours_is_shown(
    certificates: Path,
    tls: dict[str, Any],
    expected: int,
    ask: bool,  # noqa: FBT001
) -> None:
    async def serve(side: ServerSide) -> None:
        while await side.request():
            await side.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    settings = {key: value for key, value in tls.items() if key != "pair"}
    if "ca" in settings:
        settings["ca"] = str(certificates / "cert.pem")
    if "pair" in tls:
        settings |= {"cert": str(certificates / "cert.pem"), "key": str(certificates / "key.pem")}
    async with scripted(serve, ssl=server_side(certificates, ask=ask)) as upstream:
        config = {"upstream": {"url": f"https://127.0.0.1:{upstream.port}", "tls": settings, "page_retry": "0ms"}}
        async with in_process(config) as proxy, raw_client(proxy.port) as client:
            answer = await client.ask(GET)
            assert answer.status == (502 if ask and "pair" not in tls else expected)


async def test_a_listener_with_tls_answers_and_says_so_upstream(
    certificates: Path, upstream: RecordingUpstream
) -> None:
    tls = {"cert": str(certificates / "cert.pem"), "key": str(certificates / "key.pem")}
    trust = ssl.create_default_context(cafile=certificates / "cert.pem")
    async with running_proxy({"upstream": {"url": upstream.url}, "listen": {"tls": tls}}) as proxy:
        async with raw_client(proxy.port, ssl=trust) as client:
            assert (await client.ask(get("/s/x"))).status == 200
    assert upstream.only().value("X-Forwarded-Proto") == "https"


async def test_a_unix_listener_answers_and_leaves_no_file(tmp_path: Path, upstream: RecordingUpstream) -> None:
    path = tmp_path / "proxy.sock"
    async with running_proxy({"upstream": {"url": upstream.url}, "listen": {"unix": str(path)}}):
        async with raw_client(unix=str(path)) as client:
            assert (await client.ask(get("/s/x"))).status == 200
            forwarded = b"GET /s/x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"
            assert (await client.ask(forwarded)).status == 200
    assert not path.exists()
    assert [len(one.values("X-Forwarded-For")) for one in upstream.received] == [1, 1]
    assert (upstream.received[1].value("X-Forwarded-For") or "").startswith("192.0.2.7")


async def test_forwarding_headers_request_ids_and_cookies_end_to_end(upstream: RecordingUpstream) -> None:
    lines = (
        b"X-Forwarded-For: 192.0.2.1, 198.51.100.2\r\nX-Forwarded-For: 10.9.9.9\r\nX-Request-Id: theirs-1\r\n"
        b"Cookie: sid=secret; fs_uid=#o#u; z=1\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n"
        b"Proxy-Authorization: Basic x\r\nTE: trailers\r\nOrigin: https://a.example\r\nContent-Length: 2\r\n\r\n{}"
    )
    request = b"POST /rec/bundle?OrgId=o HTTP/1.1\r\nHost: cdn.example\r\n" + lines
    for more, trusted in (({}, True), ({"client_ip": {"trusted_proxies": []}}, False)):
        async with in_process({"upstream": {"url": upstream.url, "forwarded": True}, **more}) as proxy:
            async with raw_client(proxy.port) as client:
                answer = await client.ask(request)
        received = upstream.received.pop()
        chain = received.value("X-Forwarded-For") or ""
        assert chain == ("10.9.9.9, 127.0.0.1" if trusted else "127.0.0.1")
        assert len(received.values("Forwarded")) == 1
        assert received.value("X-Forwarded-Host") == "cdn.example"
        assert received.value("Cookie") == "fs_uid=#o#u"
        assert not [name for name in ("X-Mine", "Keep-Alive", "Proxy-Authorization") if received.values(name)]
        assert (answer.value("X-Request-Id") == b"theirs-1") is trusted
        assert (answer.value("X-Request-Id") or b"").decode() == received.value("X-Request-Id")
        assert b"X-Request-Id" in (answer.value("Access-Control-Expose-Headers") or b"")


async def test_all_cookies_go_up_when_all_may(upstream: RecordingUpstream) -> None:
    async with in_process({"upstream": {"url": upstream.url, "cookies": "all"}}) as proxy:
        async with raw_client(proxy.port) as client:
            await client.ask(b"GET /s/x HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\n\r\n")
    assert upstream.only().value("Cookie") == "a=1; b=2"
