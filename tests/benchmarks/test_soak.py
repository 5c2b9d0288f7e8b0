"""The soak works; what it finds in half an hour is looked at by people."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")
pytestmark = [pytest.mark.benchmark, pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")]


@pytest.mark.slow
@pytest.mark.timeout(180)  # three processes are started for it, on a machine that may be busy
async def test_a_quick_soak_sends_everything_breaks_everything_and_finds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SOAK), "--quick", "--store", "server", "--json", str(file)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    figures = json.loads(file.read_text())
    assert figures["problems"] == []
    assert {"store killed", "store hangs", "reload", "bad reload"} <= set(figures["done"])
    assert sum(count for name, count in figures["done"].items() if name.startswith("upstream")) >= 3
    assert figures["uploads_delivered"] > 100
    assert figures["frames"] > 10
    assert {"blocked page", "direct event", "invalid event", "server event", "settings"} <= set(
        figures["other_requests"]
    )
