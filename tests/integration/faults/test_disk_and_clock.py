"""The disk is full, for audit lines and for the state's file; the wall clock jumps. None of it is a recorder's affair."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from integration.faults.scene import PATIENT, Scene, scene
from support import launch

LAUNCH = (sys.executable, launch.__file__, "serve")
HOUR = 3600.0
DROPPED = "fsproxy_audit_lines_dropped_total"
FAILURES = "fsproxy_persist_failures_total"


async def counted(it: Scene, sample: str) -> None:
    """Waits until something was counted."""
    async with asyncio.timeout(120):
        while not await it.metric(sample):
            await asyncio.sleep(0.05)


async def test_audit_lines_that_find_no_room_are_counted_and_not_felt() -> None:
    async with scene("audit", {"upstream": PATIENT, "audit": {"to": "/dev/full"}}) as it, it.recording():
        await counted(it, DROPPED)
        await it.more_delivered(30)
        assert not it.journal.retries


async def test_a_disk_that_fills_under_audit_and_state_is_counted_and_not_felt(tmp_path: Path) -> None:
    """No file of the process may grow beyond 24 KB: a line of each is cut in its middle."""
    config = {
        "upstream": PATIENT,
        "audit": {"to": str(tmp_path / "audit.log")},
        "state": {"persist": {"path": str(tmp_path / "state.sqlite"), "every": "100ms"}},
        "filters": {"quota": {"sessions": 1_000_000}},
    }
    async with scene("full", config, env={"WORLD_FILE_SIZE": "24576"}, command=LAUNCH) as it, it.recording():
        await counted(it, DROPPED)
        await counted(it, FAILURES)
        await it.more_delivered(30)
        assert not it.journal.retries
    assert (tmp_path / "audit.log").stat().st_size <= 24_576
    assert len(list(tmp_path.glob("state.sqlite"))) == 1


@pytest.mark.parametrize("steps", [(HOUR, 0.0), (-HOUR, 0.0), (400 * 24 * HOUR, -400 * 24 * HOUR, 0.0)])
async def test_a_clock_that_jumps_is_not_felt(tmp_path: Path, steps: tuple[float, ...]) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0")
    config = {
        "upstream": PATIENT,
        "filters": {"quota": {"sessions": 1_000_000}},
        "state": {"persist": {"path": str(tmp_path / "state.sqlite"), "every": "100ms"}},
    }
    async with scene("clock", config, env={"WORLD_CLOCK": str(clock)}, command=LAUNCH) as it, it.recording():
        for seconds in steps:
            new = clock.with_suffix(".new")
            new.write_text(str(seconds))
            new.replace(clock)
            await it.more_delivered(30)
        assert not it.journal.retries
