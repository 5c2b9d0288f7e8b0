"""What systemd is told, over a real datagram socket."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from fsproxy.fleet.service_manager import ServiceManager
from support.notified import notified


@pytest.mark.parametrize("kind", ["path", "abstract"])
async def test_a_life_is_told_from_start_to_end(tmp_path: Path, kind: str) -> None:
    address = str(tmp_path / "notify") if kind == "path" else f"@fsproxy-test-{uuid4()}"
    status = ["starting: compiling the rules"]
    with notified(address) as systemd:
        manager = ServiceManager({"NOTIFY_SOCKET": address})

        async def reload() -> None:
            assert systemd.read()[-2] == "RELOADING=1"

        with manager.follow(lambda: status[0]):
            await systemd.until("STATUS=starting: compiling the rules")
            manager.ready()
            await manager.during_reload(reload)
            manager.stopping(15.0, taken_over=False)
        life = [line for line in systemd.read() if not line.startswith("MONOTONIC_USEC=")]
    assert life == [
        "STATUS=starting: compiling the rules",
        "READY=1",
        "RELOADING=1",
        "READY=1",
        "STOPPING=1",
        "EXTEND_TIMEOUT_USEC=45000000",
    ]


async def test_the_watchdog_gets_a_sign_at_half_its_time_and_the_status_when_it_changes(tmp_path: Path) -> None:
    address, shown = str(tmp_path / "notify"), iter(["one", "one", "two"])
    with notified(address) as systemd:
        environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "40000", "WATCHDOG_PID": str(os.getpid())}
        manager = ServiceManager(environ)
        with manager.follow(lambda: next(shown, "two")):
            await systemd.until("WATCHDOG=1", 4)
        lines = systemd.read()
    assert [line for line in lines if line != "WATCHDOG=1"] == ["STATUS=one", "STATUS=two"]


async def test_a_take_over_that_fails_does_not_stop_the_unit(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    for is_ready, expected in ((False, 0), (True, 1)):
        with notified(address) as systemd:
            manager = ServiceManager({"NOTIFY_SOCKET": address}, takes_over=True)
            if is_ready:
                manager.ready()
            manager.stopping(1.0, taken_over=False)
            assert systemd.read().count("STOPPING=1") == expected
        Path(address).unlink(missing_ok=True)


async def test_a_watchdog_that_watches_another_process_is_left_to_it_but_not_after_a_take_over(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "40000", "WATCHDOG_PID": "1"}
    for takes_over, expected in ((False, ["STATUS=s", "READY=1"]), (True, [f"MAINPID={os.getpid()}", "WATCHDOG=1"])):
        with notified(address) as systemd:
            manager = ServiceManager(environ, takes_over=takes_over)
            with manager.follow(lambda: "s"):
                await systemd.until("STATUS=s")
                manager.ready()
            assert set(expected) <= set(systemd.read())
            assert ("WATCHDOG=1" in systemd.lines) == takes_over
        (tmp_path / "notify").unlink()


async def test_a_reload_before_it_is_ready_says_nothing_of_being_ready(tmp_path: Path) -> None:
    with notified(str(tmp_path / "notify")) as systemd:
        await ServiceManager({"NOTIFY_SOCKET": systemd.address}).during_reload(lambda: asyncio.sleep(0))
        assert systemd.read() == []


async def test_without_systemd_nothing_runs_and_one_that_is_gone_costs_a_line(tmp_path: Path) -> None:
    silent = ServiceManager({"WATCHDOG_USEC": "40000"})
    with capture_logs() as lines, silent.follow(lambda: pytest.fail("nobody asked")):
        await asyncio.sleep(0)
        silent.ready()
        assert lines == []
        gone = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "none")})
        gone.ready()
        gone.stopping(1.0, taken_over=False)
    assert [(line["event"], line["what"]) for line in lines] == [("systemd cannot be notified", "READY=1")]
