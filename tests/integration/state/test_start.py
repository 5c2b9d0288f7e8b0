"""A start that takes long: the admin port answers meanwhile, and the data port opens when the state is loaded."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.log_lines import messages
from support.notified import notified
from support.ports import free_ports
from support.proxy import POLL, SERVE, START_DEADLINE, STOP_DEADLINE, running_proxy, start


@contextmanager
def busy(path: Path) -> Iterator[None]:
    """A state file that nobody else can read, as while a backup of it is put back: a start waits for it for 5 s."""
    with closing(sqlite3.connect(path, isolation_level=None)) as held:
        held.execute("PRAGMA journal_mode = WAL")
        held.execute("PRAGMA locking_mode = EXCLUSIVE")
        held.execute("BEGIN IMMEDIATE")
        held.execute("CREATE TABLE held (x)")
        yield
        held.execute("ROLLBACK")


async def first_answer(http: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process) -> tuple[int, Any]:
    """What ``/readyz`` answers as soon as there is an answer."""
    async with asyncio.timeout(START_DEADLINE):
        while process.returncode is None:
            try:
                async with http.get(url) as response:
                    return response.status, await response.json()
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(POLL)
    raise AssertionError(f"exit status {process.returncode}")


@pytest.mark.parametrize("stopped", [False, True])
async def test_the_admin_port_answers_before_the_state_is_loaded_and_systemd_is_told(
    tmp_path: Path, *, stopped: bool
) -> None:
    port, admin_port = free_ports(2)
    config = {
        "listen": {"host": "127.0.0.1", "port": port},
        "admin": {"port": admin_port},
        "upstream": {"url": "http://127.0.0.1:9"},
        "state": {"persist": {"path": str(tmp_path / "fsproxy.sqlite")}},
    }
    (tmp_path / "fsproxy.yaml").write_text(json.dumps(config))
    admin_url = f"http://127.0.0.1:{admin_port}"
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000000"}
    async with aiohttp.ClientSession() as http, AsyncExitStack() as stack:
        systemd = stack.enter_context(notified(environ["NOTIFY_SOCKET"]))
        with busy(tmp_path / "fsproxy.sqlite"):
            process = await start(tmp_path, environ, SERVE)
            try:
                status, body = await first_answer(http, f"{admin_url}/readyz", process)
                assert (status, body["status"]) == (503, "starting")
                assert body["waiting_for"][0] in {"compiling the rules", "opening the state file"}
                async with http.get(f"{admin_url}/healthz") as alive:
                    assert alive.status == 200
                with pytest.raises(aiohttp.ClientConnectionError):
                    await http.get(f"http://127.0.0.1:{port}/")
                if stopped:
                    process.send_signal(signal.SIGTERM)
            except BaseException:
                process.kill()
                raise
        try:
            async with asyncio.timeout(START_DEADLINE):
                while not stopped and (await first_answer(http, f"{admin_url}/readyz", process))[0] != 200:
                    await asyncio.sleep(POLL)
            if not stopped:
                process.send_signal(signal.SIGHUP)
                await systemd.until("READY=1", 2)
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_DEADLINE):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        told = [line.partition(":")[0] for line in systemd.read() if not line.startswith(("WATCHDOG", "MONOTONIC"))]
    assert told[0] == "STATUS=starting"
    life = [line for line in told if not line.startswith("STATUS=")]
    whole = ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1", "EXTEND_TIMEOUT_USEC=45000000"]
    assert life == ([] if stopped else whole)
    said = messages((tmp_path / "stderr").read_text())
    assert ("stopped before it listened" in said, "listening" in said) == (stopped, not stopped)


async def test_a_program_that_takes_over_becomes_the_units_main_process_and_the_old_one_says_nothing_of_its_end(
    tmp_path: Path,
) -> None:
    with notified(str(tmp_path / "notify")) as systemd:
        environ = {"NOTIFY_SOCKET": systemd.address}
        async with running_proxy({"upstream": {"url": "http://127.0.0.1:9"}}, environ) as proxy:
            await systemd.until("READY=1")
            await proxy.start_again("--config", str(proxy.config_path), "--take-over")
            told = systemd.read()
            assert f"MAINPID={proxy.process.pid}" in told
            assert told.count("READY=1") == 2
            assert not any(line.startswith(("STOPPING", "STATUS=draining")) for line in told)
        assert systemd.read().count("STOPPING=1") == 1
