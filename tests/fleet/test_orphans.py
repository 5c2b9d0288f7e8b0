"""Processes that nobody awaits, as the first process of a container gets them, beside children of our own."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
import uvloop

from fsproxy.clock import monotonic
from fsproxy.fleet.orphans import orphans_reaped
from support.ports import free_ports
from support.proxy import POLL, SERVE, START_DEADLINE, STOP_DEADLINE, start

_SUBREAPER = 36
ORPHAN = "sleep 0.05 & echo $!"
"""The shell prints the number of a process that outlives it."""
HELD = 0.05


@pytest.fixture
def subreaper() -> Iterator[None]:
    """As PID 1 has it: whose parent has ended becomes this process's child."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform != "linux" or libc.prctl(_SUBREAPER, 1, 0, 0, 0):
        pytest.skip("needs Linux")
    yield
    libc.prctl(_SUBREAPER, 0, 0, 0, 0)


def is_there(pid: int) -> bool:
    """A zombie is."""
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_orphans_are_reaped_and_no_status_of_our_own_is_taken(
    subreaper: None, loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsproxy.fleet.orphans.LOOK_SECONDS", HELD / 5)
    monkeypatch.setattr("fsproxy.fleet.orphans.NEXT_SECONDS", HELD / 5)

    async def life() -> None:
        with orphans_reaped():
            strays = []
            for status in range(1, 11):
                shell = await asyncio.create_subprocess_exec("sh", "-c", ORPHAN, stdout=subprocess.PIPE)
                strays.append(int((await shell.communicate())[0]))
                child = await asyncio.create_subprocess_exec("sh", "-c", f"exit {status}")
                # Held, so that the loop finds the time to look and the end of its own child at once.
                until = monotonic() + HELD
                while monotonic() < until:
                    pass
                assert await child.wait() == status
            async with asyncio.timeout(60):
                while any(map(is_there, strays)):
                    await asyncio.sleep(POLL)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(life())


def inner_pid(outer: int) -> int:
    """The number of the only child of ``unshare``."""
    (child,) = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
    return int(child)


async def test_the_first_process_of_a_container_reaps_and_drains(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare")
    tried = await asyncio.create_subprocess_exec(unshare, "--pid", "--fork", "true")
    if await tried.wait():
        pytest.skip("unshare may not be used here")
    port, admin_port = free_ports(2)
    (tmp_path / "fsproxy.yaml").write_text(
        f"upstream: {{url: 'http://127.0.0.1:9'}}\nstate: {{persist: null}}\n"
        f"listen: {{host: 127.0.0.1, port: {port}}}\nadmin: {{port: {admin_port}}}\n"
    )
    # The shell has an orphan that has ended, and becomes the program.
    shell = 'sh -c "sleep 0.05 &"; exec "$@"'
    process = await start(tmp_path, {}, (unshare, "--pid", "--fork", "--kill-child", "sh", "-c", shell, "sh", *SERVE))
    try:
        async with asyncio.timeout(START_DEADLINE), aiohttp.ClientSession() as http:
            while process.returncode is None:
                try:
                    async with http.get(f"http://127.0.0.1:{admin_port}/readyz") as response:
                        if response.status == 200:
                            break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(POLL)
            first = inner_pid(process.pid)
            children = Path(f"/proc/{first}/task/{first}/children")
            while children.read_text():
                await asyncio.sleep(POLL)
        os.kill(first, signal.SIGTERM)
        async with asyncio.timeout(STOP_DEADLINE):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert "stopped" in (tmp_path / "stderr").read_text()
