"""The benchmark suite works; what it measures is looked at by people."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it pins processes to cores, and reads /proc")


async def run(*words: str) -> tuple[int, str]:
    """The exit status and all output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(RUN),
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.slow
async def test_a_quick_run_measures_every_peer_and_exits_0(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    code, output = await run("--quick", "--peers", "bare,naive,validating", "--json", str(file))
    assert code == 0, output
    rows = json.loads(file.read_text())
    assert {(row["path"], row["peer"]) for row in rows} == {
        ("block-10", "bare"),
        ("forward", "naive"),
        ("page", "naive"),
        ("bundle", "naive"),
        ("bundle-gzip", "naive"),
        ("bundle-calls", "naive"),
        ("event-1k", "validating"),
        ("socket", "naive"),
    }
    for row in rows:
        assert row["problems"] == []
        assert row["rps"]["median"] > 0
        assert row["cpu_us"]["median"] > 0
        assert row["rss"] > 0


@pytest.mark.slow
async def test_one_and_two_workers_are_compared() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(RUN.with_name("workers.py")), "--paths", "forward", "--seconds", "0.2", "--rounds", "1"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    lines = output.decode().splitlines()
    assert process.returncode == 0, lines
    assert [line.split()[:3] for line in lines] == [["forward", "1", "workers"], ["forward", "2", "workers"]]


@pytest.mark.slow
async def test_a_peer_that_does_not_answer_is_named_and_the_exit_status_is_1() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but not listening: it refuses
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        code, output = await run("--quick", "--paths", "forward", "--peers", "naive", "--url", url)
    assert code == 1
    assert f"forward {url}: ConnectionRefusedError" in output


async def test_an_unknown_path_is_refused_with_those_there_are() -> None:
    code, output = await run("--quick", "--paths", "typo")
    assert code == 1
    assert "unknown path typo; there are: block-10," in output


@pytest.mark.slow
async def test_a_short_run_of_swaps_under_load_finds_no_fault() -> None:
    status, text = await _output("reload_under_load.py", "--rate", "100", "--swaps", "4", "--rules", "10")
    assert status == 0, text
    assert {"failed        0", "mixed         0"} <= {line.rstrip() for line in text.splitlines()}


@pytest.mark.slow
async def test_many_connections_and_full_stores_are_measured() -> None:
    status, text = await _output("many.py", "--quick")
    assert status == 0, text
    assert "idle connections  300:" in text
    assert "all stores, full" in text


@pytest.mark.slow
async def test_growth_is_measured_and_told_for_every_pair(tmp_path: Path) -> None:
    file = tmp_path / "growth.json"
    status, text = await _output("growth.py", "--quick", "--pairs", "sessions,connections", "--json", str(file))
    assert status == 0, text
    rows = json.loads(file.read_text())
    assert [row["pair"] for row in rows] == ["sessions", "connections"]
    for row in rows:
        assert row["growth"] > 0
        assert row["problems"] == []


async def _output(script: str, *options: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(RUN.with_name(script)), *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()
