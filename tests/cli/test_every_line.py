"""Where lines are JSON, every line of ``serve`` and ``demo`` is: the first one, refusals, warnings, what nobody catches."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

import fsproxy
from support.commands import DEADLINE, Command, run
from support.forking import nothing, started
from support.log_lines import log_lines, messages
from support.ports import free_ports
from support.proxy import POLL, SERVE, running_proxy
from tests.cli.test_serve import UPSTREAM

PORTS = "listen: {host: 127.0.0.1, port: 0}\nadmin: {port: 0}\n"
BASE = UPSTREAM + PORTS
BAD_LIST = f"{BASE}filters: {{ip: {{block: [file:list.txt]}}}}\n"


def _unreadable_list(folder: Path) -> str:
    (folder / "list.txt").mkdir()
    return BAD_LIST


def _bad_certificate(folder: Path) -> str:
    for name in ("cert.pem", "key.pem"):
        (folder / name).write_text("no certificate")
    return f"{UPSTREAM}admin: {{port: 0}}\nlisten: {{port: 0, tls: {{cert: cert.pem, key: key.pem}}}}\n"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (None, "is not there"),
        ("upstream: {url: [}\n", "fsproxy.yaml:1:"),
        ("\0", "fsproxy.yaml:1:1"),
        ("[]\n", "is not a configuration"),
        (f"{BASE}admin: {{}}\nnope: 1\n", "nope: is not a known key"),
        (BASE.replace("http://127.0.0.1:9", '"${UPSTREAM_HOST}"'), "UPSTREAM_HOST"),
        (f"{BASE}audit: {{to: none/audit.jsonl}}\n", "audit.to"),
        (f"{BASE}filters: {{geo: {{never: [AQ], source: {{database: none.mmdb}}}}}}\n", "none.mmdb"),
        (BAD_LIST, "list.txt"),
        (_unreadable_list, "list.txt"),
        (_bad_certificate, "listen.tls"),
        (f"{BASE}log: {{level: loud}}\n", "log.level"),
    ],
    ids=[
        "missing",
        "no-yaml",
        "binary",
        "no-mapping",
        "keys",
        "variable",
        "folder",
        "database",
        "list",
        "list-is-a-folder",
        "certificate",
        "log",
    ],
)
async def test_a_refused_configuration(tmp_path: Path, text: str | Callable[[Path], str] | None, part: str) -> None:
    if text is not None:
        (tmp_path / "fsproxy.yaml").write_text(text if isinstance(text, str) else text(tmp_path))
    code, out, err = await run(tmp_path, "serve", "--config", "fsproxy.yaml")
    assert (code, out) == (1, "")
    *faults, end = log_lines(err)
    assert any(part in each["message"] for each in faults), err
    assert (end["message"], end["fsproxy.faults"]) == ("fsproxy cannot start", len(faults))
    assert {each["log.level"] for each in (*faults, end)} == {"error"}


async def test_wrong_usage_is_printed_as_by_any_other_command(tmp_path: Path) -> None:
    """No program has begun then: who reads this sits before a terminal."""
    code, out, err = await run(tmp_path, "serve", "--no-such-option")
    assert (code, out) == (2, "")
    assert "No such option" in err


async def test_a_take_over_of_what_is_no_fsproxy(tmp_path: Path) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    (tmp_path / "fsproxy.yaml").write_text(f"{UPSTREAM}listen: {{port: 0}}\nadmin: {{port: {port}}}\n")
    code, out, err = await run(tmp_path, "serve", "--config", "fsproxy.yaml", "--take-over")
    server.close()
    assert (code, out) == (1, "")
    assert "cannot be taken over" in messages(err)[1], "after the line that sums the configuration up"


STUB = """\
import asyncio, logging, threading, warnings

def fail():
    raise ValueError("nobody catches this")

def new_event_loop():
    {}
    loop = asyncio.new_event_loop()
    loop.call_soon(fail)
    threading.Thread(target=fail).start()
    logging.getLogger("redis").warning("of a library:\\n%s", "a value")
    warnings.warn("old thing", DeprecationWarning)
    return loop
"""
"""Stands in the place of uvloop."""


def environment(folder: Path, first: str = "pass") -> dict[str, str]:
    (folder / "uvloop.py").write_text(STUB.format(first))
    source = str(Path(fsproxy.__file__).parents[1])
    return {"PYTHONPATH": f"{folder}{os.pathsep}{source}", "PYTHONWARNINGS": "always", "PYTHONASYNCIODEBUG": "1"}


async def test_what_libraries_and_python_itself_would_print(tmp_path: Path) -> None:
    async with running_proxy({"upstream": {"url": "http://127.0.0.1:9"}}, environment(tmp_path)) as proxy:
        lines = log_lines(proxy.log_text())
        found = {line["message"]: line for line in lines}
    assert any(message.startswith("mode enforce; upstream http://127.0.0.1:9;") for message in found)
    assert found["of a library:"]["log.logger"] == "redis"
    assert found["DeprecationWarning: old thing"]["log.level"] == "warning"
    assert found["a thread ended by an exception that nothing caught"]["error.type"] == "ValueError"
    assert next(
        line for line in lines if line.get("log.logger") == "asyncio" and line.get("error.type") == "ValueError"
    )
    assert "nobody catches this" not in str(lines), "it may be about a request"


async def test_an_exception_that_ends_the_program(tmp_path: Path) -> None:
    (tmp_path / "fsproxy.yaml").write_text(BASE)
    code, _, err = await run(tmp_path, "serve", "--config", "fsproxy.yaml", env=environment(tmp_path, "fail()"))
    assert code == 1
    last = log_lines(err)[-1]
    assert (last["log.level"], last["error.type"]) == ("critical", "ValueError")
    assert last["error.message"] == "nobody catches this"
    assert last["error.stack_trace"].splitlines()[-1].endswith(" fail")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
async def test_the_demo_from_its_first_line_to_its_last(tmp_path: Path, sent: signal.Signals) -> None:
    port, admin_port = free_ports(2)
    command = await Command.begin(tmp_path, "demo", "--port", str(port), "--admin-port", str(admin_port))
    async with asyncio.timeout(DEADLINE):
        while "operators' page" not in command.errors():
            assert command.process.returncode is None
            await asyncio.sleep(POLL)
    command.process.send_signal(sent)
    code, out, err = await command.ended()
    assert (code, out) == (0, "")
    assert messages(err)[-1] == "stopped"


async def shown(folder: Path, text: str) -> str:
    """What ``serve`` shows on a terminal with a configuration that it refuses."""
    (folder / "fsproxy.yaml").write_text(text)
    terminal, side = pty.openpty()
    with nothing() as none, os.fdopen(side, "wb") as shows:
        process = await started((*SERVE, "--config", "fsproxy.yaml"), folder, {}, (none, shows, shows))
        async with asyncio.timeout(DEADLINE):
            assert await process.wait() == 1
    found = os.read(terminal, 65536)
    os.close(terminal)
    return found.decode()


@pytest.mark.parametrize("form", ["auto", "console", "json"])
async def test_the_form_of_a_file_holds_for_its_own_faults(tmp_path: Path, form: str) -> None:
    text = f"{BASE}log: {{format: {form}}}\nnope: 1\n"
    on_terminal = await shown(tmp_path, text)
    _, _, off_terminal = await run(tmp_path, "serve", "--config", "fsproxy.yaml")
    assert on_terminal.startswith("{") is (form == "json")
    assert off_terminal.startswith("{") is (form != "console")
    assert all("nope: is not a known key" in each for each in (on_terminal, off_terminal))
    if form == "json":
        log_lines(on_terminal)


async def test_the_form_of_a_file_holds_for_what_the_machine_lacks(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = f"{UPSTREAM}admin: {{port: 0}}\nlisten: {{host: 127.0.0.1, port: {port}}}\nlog: {{format: json}}\n"
        lines = log_lines(await shown(tmp_path, text))
    assert "is in use" in lines[0]["message"]
