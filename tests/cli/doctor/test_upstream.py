"""The doctor looks at upstreams that are wrong, each in one way."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.doctoring import examined
from support.ports import free_ports
from support.proxy import running_proxy
from support.tools import tool
from support.upstream import RecordingUpstream, status

SETTINGS = ("GET", "/s/settings/o-1/v1/web")
FREE = {"listen": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 0}, "state": {"persist": None}}


def certificate(folder: Path, name: str = "IP:127.0.0.1", days: int = 90) -> ssl.SSLContext:
    """A server's side, whose own authority is cert.pem; ``days`` until its end."""
    new = "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=doctor -keyout key.pem"
    sign = f"x509 -req -in request.pem -signkey key.pem -days {days} -copy_extensions copy -out cert.pem"
    for command in ([*new.split(), "-out", "request.pem", "-addext", f"subjectAltName={name}"], sign.split()):
        subprocess.run([tool("openssl"), *command], cwd=folder, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@asynccontextmanager
async def secure_upstream(context: ssl.SSLContext) -> AsyncIterator[str]:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.json_response({})

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("name", "days", "tls", "check", "state"),
    [
        ("IP:127.0.0.1", 90, {"ca": True}, "upstream.tls", "ok"),
        ("IP:127.0.0.1", 3, {"ca": True}, "upstream.tls", "warning"),
        ("IP:127.0.0.1", -1, {"ca": True}, "upstream.tls.end", "fault"),
        ("DNS:other.example", 90, {"ca": True}, "upstream.tls.name", "fault"),
        ("IP:127.0.0.1", 90, {}, "upstream.tls.chain", "fault"),
        ("IP:127.0.0.1", 90, {"verify": False}, "upstream.tls", "warning"),
    ],
)
async def test_a_certificate_is_judged(
    tmp_path: Path, name: str, days: int, tls: dict[str, Any], check: str, state: str
) -> None:
    context = certificate(tmp_path, name, days)
    tls = {key: str(tmp_path / "cert.pem") if key == "ca" else value for key, value in tls.items()}
    async with secure_upstream(context) as url:
        found = await examined({**FREE, "upstream": {"url": url, "tls": tls}})
    assert (check, found[check].state.value) == (check, state), found
    assert ("upstream.settings" in found) == (state != "fault")


async def test_what_is_no_tls_is_told() -> None:
    async with RecordingUpstream() as upstream:
        found = await examined({**FREE, "upstream": {"url": upstream.url.replace("http", "https")}})
    assert found["upstream.tls"].state.value == "fault"
    assert "no TLS" in found["upstream.tls"].text


async def test_a_name_that_is_not_found_and_a_port_that_is_closed() -> None:
    found = await examined({**FREE, "upstream": {"url": "http://doctor.invalid"}})
    assert found["upstream.dns"].state.value == "fault"
    found = await examined({**FREE, "upstream": {"url": f"http://127.0.0.1:{free_ports(1)[0]}"}})
    assert found["upstream.connect"].state.value == "fault"


@pytest.mark.parametrize(
    ("route", "answer", "check", "state"),
    [
        (SETTINGS, status(404), "upstream.settings", "fault"),
        (SETTINGS, status(503), "upstream.settings", "fault"),
        (SETTINGS, status(200, b"{}", Date="Mon, 01 Jan 2024 00:00:00 GMT"), "clock", "fault"),
        (SETTINGS, status(200, b"{}", Date="yesterday"), "clock", "unknown"),
        (("POST", "/rec/page"), status(202, b'{"reason_code": 3}'), "upstream.page", "warning"),
        (("POST", "/rec/page"), status(200, b"<html>"), "upstream.page", "fault"),
        (("POST", "/rec/page"), status(200, b"{}"), "upstream.page", "fault"),
        (("POST", "/rec/page"), status(500), "upstream.page", "fault"),
    ],
)
async def test_what_the_upstream_answers_is_judged(route: tuple[str, str], answer: Any, check: str, state: str) -> None:
    async with RecordingUpstream() as upstream:
        upstream.on(*route, answer)
        found = await examined({**FREE, "upstream": {"url": upstream.url}}, org="o-1")
    assert found[check].state.value == state, found


async def test_without_an_org_no_page_is_sent() -> None:
    async with RecordingUpstream() as upstream:
        found = await examined({**FREE, "upstream": {"url": upstream.url}})
        assert [each.method for each in upstream.received] == ["GET"]
    assert "upstream.page" not in found


async def test_an_upstream_that_never_answers_is_given_up() -> None:
    async with RecordingUpstream() as upstream:
        upstream.hold()
        found = await examined({**FREE, "upstream": {"url": upstream.url}}, seconds=0.5)
    assert found["upstream.settings"].state.value == "fault"


async def test_an_authority_of_ones_own_serves_for_the_comparison_too(tmp_path: Path) -> None:
    async with secure_upstream(certificate(tmp_path)) as url:
        config = {"upstream": {"url": url, "tls": {"ca": str(tmp_path / "cert.pem")}}}
        async with running_proxy(config) as proxy:
            found = await examined(proxy.config_path, proxy.url, org="o-1")
    assert found["public.answers"].state.value == "ok"


async def test_paths_that_go_up_as_others_are_asked_for_under_these() -> None:
    async with RecordingUpstream() as upstream, RecordingUpstream(allow_unexpected=True) as other:
        rewrite = [
            {"path": "/s/", "to": f"{other.url}/static/"},
            {"path": "/relay/", "to": "/"},
            {"path": "/gone/", "to": f"http://127.0.0.1:{free_ports(1)[0]}/gone/"},
        ]
        routes = {"page": ["/relay/rec/page"]}
        found = await examined({**FREE, "upstream": {"url": upstream.url, "rewrite": rewrite}, "routes": routes})
        assert found["upstream.connect"].state.value == "fault"
        assert "upstream.rewrite" in found["upstream.connect"].advice
        other.on("GET", "/static/settings/o-1/v1/web", status(200, b"{}"))
        config = {**FREE, "upstream": {"url": upstream.url, "rewrite": rewrite[:2]}, "routes": routes}
        await examined(config, org="o-1")
        assert [each.target for each in other.received] == ["/static/settings/o-1/v1/web"]
        assert [each.target for each in upstream.received] == ["/rec/page"]
