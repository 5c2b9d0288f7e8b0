"""An upstream that fails in each way is told once, with its address and the kind, and once when it is back."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support import launch
from support.faulty_link import Fault, FaultyLink
from support.proxy import POLL, RunningProxy, running_proxy
from support.told import ask, begun, ended, lines
from support.tools import tool
from support.upstream import RecordingUpstream, status

LAUNCH = (sys.executable, launch.__file__, "serve")
QUICK = {"timeouts": {"connect": "5s", "response": "500ms"}, "page_retry": "1ms"}


async def get(http: aiohttp.ClientSession, proxy: RunningProxy, path: str = "/x") -> int:
    """The status of a request; 0: the connection was cut."""
    try:
        async with http.get(proxy.url + path) as response:
            await response.read()
            return response.status
    except aiohttp.ClientError:
        return 0


async def requests(http: aiohttp.ClientSession, proxy: RunningProxy, name: str) -> None:
    """Send requests one after the other, until the condition has begun."""
    async with asyncio.timeout(120):
        while not lines(proxy, name):
            await get(http, proxy)
            await asyncio.sleep(POLL)


FAULTS = {
    Fault.REFUSE: ("upstream_refused", "it refuses connections (connection refused)"),
    Fault.RESET: ("upstream_reset", "it closes connections without an answer"),
    Fault.CUT: ("upstream_cut", "its answers are cut"),
    Fault.HANG: ("upstream_timeout", "it does not answer in time"),
    Fault.GARBAGE: ("upstream_invalid", "what it answers is not valid HTTP/1.1"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_begins_once_and_ends_once(fault: Fault) -> None:
    kind, words = FAULTS[fault]
    async with RecordingUpstream(allow_unexpected=True) as upstream, FaultyLink(upstream.port) as link:
        upstream.on("GET", "/x", status(200))
        async with aiohttp.ClientSession() as http, running_proxy({"upstream": {"url": link.url, **QUICK}}) as proxy:
            assert await get(http, proxy) == 200
            assert (await ask(proxy, "/readyz"))["warnings"] == []
            await link.set(fault)
            address = f"127.0.0.1:{link.port}"
            await requests(http, proxy, f"upstream:{address}")
            line = await begun(proxy, f"upstream:{address}")
            assert line["message"] == f"the upstream {address} fails: {words}"
            assert (line["fsproxy.address"], line["fsproxy.kind"]) == (address, kind)
            assert line["fsproxy.count"] >= 1
            assert line["fsproxy.since"] < line["@timestamp"]
            assert (await ask(proxy, "/api/status"))["upstream"]["state"] == "failing"
            await link.set(Fault.NONE)
            assert await get(http, proxy) == 200
            end = await ended(proxy, f"upstream:{address}")
            assert (end["fsproxy.since"], end["fsproxy.kind"]) == (line["fsproxy.since"], kind)
            assert end["fsproxy.count"] >= line["fsproxy.count"]
            assert (await ask(proxy, "/api/status"))["upstream"]["state"] == "up"


async def test_one_that_answers_with_errors_is_told_as_such_and_its_answers_pass() -> None:
    async with RecordingUpstream(allow_unexpected=True) as upstream, aiohttp.ClientSession() as http:
        upstream.on("GET", "/x", status(503))
        async with running_proxy({"upstream": {"url": upstream.url}}) as proxy:
            name = f"upstream:127.0.0.1:{upstream.port}"
            await requests(http, proxy, name)
            line = await begun(proxy, name)
            assert line["fsproxy.kind"] == "upstream_5xx"
            assert line["message"].endswith("fails: it answers with errors (503)")
            upstream.on("GET", "/x", status(404))
            assert await get(http, proxy) == 404
            await ended(proxy, name)


async def test_only_the_host_that_fails_is_named_when_prefixes_have_their_own() -> None:
    async with RecordingUpstream(allow_unexpected=True) as upstream, FaultyLink(upstream.port) as link:
        upstream.on("GET", "/x", status(200))
        await link.set(Fault.REFUSE)
        secret = {"url": upstream.url, "prefixes": {"/s/": link.url}}
        async with aiohttp.ClientSession() as http, running_proxy({"upstream": secret}) as proxy:
            assert await get(http, proxy, "/s/y") == 502
            await begun(proxy, f"upstream:127.0.0.1:{link.port}")
            assert await get(http, proxy) == 200
            assert lines(proxy, f"upstream:127.0.0.1:{link.port}", over=True) == []
            assert len((await ask(proxy, "/readyz"))["warnings"]) == 1


async def test_a_name_that_is_not_found_is_told(tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_text("")
    async with RecordingUpstream(allow_unexpected=True) as upstream, aiohttp.ClientSession() as http:
        upstream.on("GET", "/x", status(200))
        config = {"upstream": {"url": f"http://capture.test:{upstream.port}"}}
        async with running_proxy(config, {"WORLD_NAMES": str(names)}, command=LAUNCH) as proxy:
            assert await get(http, proxy) == 502
            line = await begun(proxy, f"upstream:capture.test:{upstream.port}")
            assert line["fsproxy.kind"] == "upstream_dns"
            names.write_text("capture.test 127.0.0.1\n")
            assert await get(http, proxy) == 200
            await ended(proxy, f"upstream:capture.test:{upstream.port}")


def certificate(folder: Path, name: str, subject: str = "IP:127.0.0.1", days: int = 60) -> ssl.SSLContext:
    """A server's side with a self-signed certificate, ``name``.pem in the folder. ``days`` until its end."""
    new = f"req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name} -keyout {name}.key"
    sign = f"x509 -req -in {name}.csr -signkey {name}.key -days {days} -copy_extensions copy -out {name}.pem"
    for command in (
        [*new.split(), "-out", f"{name}.csr", "-addext", f"subjectAltName={subject}"],
        sign.split(),
    ):
        subprocess.run([tool("openssl"), *command], cwd=folder, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@pytest.mark.parametrize(
    ("subject", "trusted", "days", "words"),
    [
        ("IP:127.0.0.1", "own", -1, "its certificate has expired"),
        ("DNS:other.test", "own", 60, "its certificate is not for 127.0.0.1"),
        ("IP:127.0.0.1", "other", 60, "its certificate is not trusted: it is self-signed"),
    ],
)
async def test_a_certificate_that_is_wrong_is_told_with_the_reason(
    tmp_path: Path, subject: str, trusted: str, days: int, words: str
) -> None:
    context = certificate(tmp_path, "own", subject, days)
    certificate(tmp_path, "other")
    await told_of_tls(tmp_path, context, trusted, f"no secure connection comes about ({words})")


async def told_of_tls(folder: Path, context: ssl.SSLContext, trusted: str, words: str) -> None:
    async with RecordingUpstream(allow_unexpected=True) as upstream, FaultyLink(upstream.port, tls=context) as link:
        upstream.on("GET", "/x", status(200))
        config: dict[str, Any] = {
            "url": f"https://127.0.0.1:{link.port}",
            "tls": {"ca": str(folder / f"{trusted}.pem")},
        }
        async with aiohttp.ClientSession() as http, running_proxy({"upstream": config}) as proxy:
            assert await get(http, proxy) == 502
            name = f"upstream:127.0.0.1:{link.port}"
            line = await begun(proxy, name)
            assert line["message"] == f"the upstream 127.0.0.1:{link.port} fails: {words}"
            right = certificate(folder, trusted)
            link.tls = right
            await link.set(Fault.NONE)
            proxy.write_config({"upstream": {**config, "max_connections": 5}})
            await ended(proxy, name)
            assert await get(http, proxy) == 200


async def test_a_certificate_of_the_upstream_that_ends_soon_is_told_before(tmp_path: Path) -> None:
    context = certificate(tmp_path, "own", days=3)
    async with RecordingUpstream(allow_unexpected=True) as upstream, FaultyLink(upstream.port, tls=context) as link:
        upstream.on("GET", "/x", status(200))
        config = {"url": f"https://127.0.0.1:{link.port}", "tls": {"ca": str(tmp_path / "own.pem")}}
        async with aiohttp.ClientSession() as http, running_proxy({"upstream": config}) as proxy:
            assert await get(http, proxy) == 200
            line = await begun(proxy, f"certificate:the upstream 127.0.0.1:{link.port}", "warn")
            assert line["message"].startswith(f"the certificate of the upstream 127.0.0.1:{link.port} ends on 2")
