"""The command: what it prints, its exit status, and what it never prints."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support import commands
from support.doctoring import examined
from support.forking import FSPROXY
from support.ports import free_ports
from support.proxy import POLL, running_proxy
from support.upstream import Received, RecordingUpstream, status

SECRET = "secret-7f3"


async def run(*words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    return await commands.run(Path.cwd(), "doctor", *words)


def written(folder: Path, config: Mapping[str, Any]) -> str:
    file = folder / "fsproxy.yaml"
    data, admin = free_ports(2)
    own = {"listen": {"host": "127.0.0.1", "port": data}, "admin": {"port": admin, "token": SECRET}}
    file.write_text(json.dumps({"state": {"persist": None}, **own, **config}))
    return str(file)


async def test_each_exit_status(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream:
        file = written(tmp_path, {"upstream": {"url": upstream.url}})
        code, out, err = await run("--config", file)
        assert (code, err) == (0, ""), out
        assert out.splitlines()[-1] == "0 faults, 0 warnings, 2 not known"
        upstream.on("POST", "/rec/page", status(202, b'{"reason_code": 4}'))
        code, out, _ = await run("--config", file, "--org", "o-1")
        assert (code, "! upstream.page" in out) == (3, True)
        upstream.on("GET", "/s/settings/o-1/v1/web", status(404))
        code, out, _ = await run("--config", file, "--org", "o-1")
        assert (code, "✗ upstream.settings" in out) == (1, True)


async def test_a_page_is_announced_before_it_is_sent(tmp_path: Path) -> None:
    """The upstream keeps the page until the announcement has been read."""
    seen = asyncio.Event()

    async def answer(request: web.BaseRequest, received: Received) -> web.StreamResponse:
        await seen.wait()
        return await upstream.usual(request, received)

    async with RecordingUpstream() as upstream:
        upstream.on("POST", "/rec/page", answer)
        file = written(tmp_path, {"upstream": {"url": upstream.url}})
        command = await commands.Command.begin(tmp_path, "doctor", "--config", file, "--org", "o-1", "--json")
        async with asyncio.timeout(commands.DEADLINE):
            while "A page of https://www.example.com/fsproxy-doctor is sent" not in command.errors():
                await asyncio.sleep(POLL)
        seen.set()
        _, out, _ = await command.ended()
    assert '"upstream.page"' in out


async def test_json_holds_every_finding_and_no_secret(tmp_path: Path) -> None:
    url = f"redis://user:{SECRET}@127.0.0.1:{free_ports(1)[0]}/0"
    async with RecordingUpstream() as upstream:
        config = {"upstream": {"url": upstream.url}, "state": {"backend": "redis", "redis": {"url": url}}}
        code, out, err = await run("--config", written(tmp_path, config), "--json")
    found = json.loads(out)
    assert (code, found["status"], found["counts"]["fault"]) == (1, 1, 1)
    assert {each["check"]: each["state"] for each in found["findings"]}["redis.connect"] == "fault"
    assert all(each["advice"] for each in found["findings"] if each["state"] in {"fault", "warning"})
    assert SECRET not in out + err


@pytest.mark.parametrize("answer", [b"\x00\x01\x02\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", b""])
async def test_what_is_no_http_is_a_fault_and_no_traceback(tmp_path: Path, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        code, out, err = await run(
            "--config", written(tmp_path, {"upstream": {"url": url}}), "--public-url", url, "--timeout", "5"
        )
    assert (code, "Traceback" in out + err) == (1, False)
    assert "✗ upstream.settings" in out
    assert "✗ public.reached" in out


async def test_what_keeps_the_machine_from_serving(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream:
        file = written(tmp_path, {"upstream": {"url": upstream.url}, "audit": {"to": "/no/such/folder/audit.log"}})
        command = ["sh", "-c", 'ulimit -n 300; exec "$@"', "sh", *FSPROXY, "doctor", "--config", file]
        process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
        printed, _ = await process.communicate()
        out = printed.decode()
    assert process.returncode == 1
    assert "✗ host: audit.to" in out
    assert "! descriptors" in out


@pytest.mark.parametrize(
    "words", [["--public-url", "rec.example.com"], ["--origin", "https://u:p@x"], ["--timeout", "0"]]
)
async def test_an_option_that_means_nothing_is_wrong_usage(tmp_path: Path, words: list[str]) -> None:
    code, _, err = await run("--config", written(tmp_path, {"upstream": {"url": "http://127.0.0.1:9"}}), *words)
    assert (code, words[0] in err) == (2, True)


async def test_an_admin_port_with_another_token_tells_nothing() -> None:
    async with RecordingUpstream(allow_unexpected=True) as upstream:
        config = {"upstream": {"url": upstream.url}, "admin": {"token": "one"}}
        async with running_proxy(config) as proxy:
            proxy.config_path.write_text(proxy.config_path.read_text().replace('"one"', '"two"'))
            found = await examined(proxy.config_path, proxy.url)
    assert found["public.client_ip"].state.value == "unknown"
    assert found["public.requests"].state.value == "unknown"
