"""The first minute: ports in use, a run without a file, and what a terminal shows."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import sys
from pathlib import Path

import aiohttp
import pytest

import fsproxy
from support.commands import Command, run
from support.log_lines import messages
from support.ports import free_ports
from support.upstream import RecordingUpstream
from tests.cli.test_serve import taken, until_ready

__all__ = ["taken"]
DEADLINE = 120
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(fsproxy.__file__).parents[1])}
ENVIRONMENT.pop("NO_COLOR", None)


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (("demo", "--port", "{taken}", "--admin-port", "{free}"), "--port"),
        (("demo", "--port", "{free}", "--admin-port", "{taken}"), "--admin-port"),
        (("serve", "--upstream", "http://127.0.0.1:9", "--port", "{taken}", "--admin-port", "{free}"), "--port"),
        (("serve", "--upstream", "http://127.0.0.1:9", "--port", "{free}", "--admin-port", "{taken}"), "--admin-port"),
    ],
)
async def test_a_port_in_use_is_reported_before_anything_else_with_the_option_that_helps(
    tmp_path: Path, taken: int, command: tuple[str, ...], hint: str
) -> None:
    (free,) = free_ports(1)
    code, out, err = await run(tmp_path, *(each.format(taken=taken, free=free) for each in command))
    problem = f"port {taken} is in use by another program. {hint} sets another port."
    assert (code, out, messages(err)) == (1, "", [problem, "fsproxy cannot start"])


async def test_serve_runs_without_a_file(tmp_path: Path) -> None:
    port, admin_port = free_ports(2)
    async with RecordingUpstream() as upstream:
        ports = ("--port", str(port), "--admin-port", str(admin_port))
        command = await Command.begin(
            tmp_path, "serve", "--upstream", upstream.url, *ports, env={"FSPROXY_CONFIG": "not-asked-for.yaml"}
        )
        try:
            await until_ready(f"http://127.0.0.1:{admin_port}/readyz", command.process)
            async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/s/fs.js") as response:
                assert response.status == 200
            assert [each.path for each in upstream.received] == ["/s/fs.js"]
        finally:
            command.process.terminate()
            assert (await command.ended())[0] == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "--config FILE or --upstream URL is needed"),
        (("--config", "a.yaml", "--upstream", "http://a"), "it does not go with --config"),
        (("--config", "a.yaml", "--port", "1"), "a file has listen.port and admin.port"),
    ],
)
async def test_options_that_do_not_go_together_are_wrong_usage(
    tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    code, out, err = await run(tmp_path, "serve", *arguments, env={"FSPROXY_CONFIG": ""})
    assert (code, out) == (2, "")
    assert problem in err


async def test_an_address_that_is_none_is_reported_without_a_place_in_a_file(tmp_path: Path) -> None:
    code, out, err = await run(tmp_path, "serve", "--upstream", "capture.example.net")
    assert (code, out) == (1, "")
    assert messages(err)[0].startswith(
        'upstream.url: "capture.example.net" is not an http or https address (did you mean '
    )


async def test_on_a_terminal_the_demo_ends_its_greeting_with_the_page_and_shows_decisions_in_short(
    tmp_path: Path,
) -> None:
    port, admin_port = free_ports(2)
    terminal, side = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fsproxy", "demo", "--port", str(port), "--admin-port", str(admin_port)),
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=side,
        stderr=side,
    )
    os.close(side)
    shown = bytearray()
    loop = asyncio.get_running_loop()
    loop.add_reader(terminal, lambda: shown.extend(_read(terminal)))
    try:
        async with asyncio.timeout(DEADLINE):
            while b"operators' page" not in shown:
                await asyncio.sleep(0.02)
        assert bytes(shown).rstrip().endswith(f"The operators' page: http://127.0.0.1:{admin_port}/".encode())
        body = b'{"OrgId":"o-1","SessionId":"s","PageId":"p","Url":"https://blocked.example.com/"}'
        async with aiohttp.ClientSession() as http, http.post(f"http://127.0.0.1:{port}/rec/page", data=body) as answer:
            assert answer.status == 202
        async with asyncio.timeout(DEADLINE):
            while not (line := re.search(rb"\S+blocked .*\n", shown)):
                await asyncio.sleep(0.02)
        assert b"o-1  blocked.example.com  4 Domain Filter (demo-domain)  202  " in line[0]
        assert b'{"ecs' not in shown
    finally:
        loop.remove_reader(terminal)
        process.terminate()
        await process.wait()
        os.close(terminal)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""
