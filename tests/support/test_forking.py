"""A program that is forked is one that was started: its ports, streams, folder, environment, signals and end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from support.forking import Fork, Origin, can_fork, fork
from support.ports import free_ports
from support.proxy import SERVE, running_proxy
from support.workers import gone, lives

DEADLINE = 120


async def run(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit status, and what is printed."""
    with (folder / "out").open("w+") as out, (folder / "err").open("w") as err:
        streams = [out.fileno(), out.fileno(), err.fileno()]
        program = fork((*SERVE[:3], *words), folder, {**os.environ, **(env or {})}, streams)
    async with asyncio.timeout(DEADLINE):
        code = await program.wait()
    return code, (folder / "out").read_text(), (folder / "err").read_text()


async def test_its_words_streams_and_status_are_its_own(tmp_path: Path) -> None:
    code, out, err = await run(tmp_path, "--version")
    assert (code, out.split()[0], err) == (0, "fsproxy,", "")
    code, out, err = await run(tmp_path, "serve", "--no-such-option")
    assert (code, out) == (2, "")
    assert "No such option" in err


async def test_it_runs_in_its_folder_with_its_environment(tmp_path: Path) -> None:
    (tmp_path / "here.yaml").write_text("upstream: {url: '${WHERE}'}\n")
    assert (await run(tmp_path, "check", "here.yaml", env={"WHERE": "http://127.0.0.1:9000"}))[0] == 0
    code, _, err = await run(tmp_path, "check", "here.yaml")
    assert code == 1
    assert "WHERE, which is not set" in err


async def test_a_signal_reaches_it_and_no_other_and_its_end_is_told(tmp_path: Path) -> None:
    config = {"upstream": {"url": "http://127.0.0.1:9"}}
    async with running_proxy(config) as one, running_proxy(config) as other, running_proxy(config) as third:
        assert {type(each.process) for each in (one, other, third)} == {Fork}
        assert len({each.process.pid for each in (one, other, third)}) == 3
        await one.kill()
        assert one.process.returncode == -signal.SIGKILL
        one.signal(signal.SIGTERM)  # there is nobody left, and that is no fault
        third.signal(signal.SIGTERM)
        assert await third.process.wait() == 0
        assert other.process.returncode is None


async def test_none_outlives_the_process_that_was_forked(tmp_path: Path) -> None:
    origin = Origin()
    with (tmp_path / "all").open("w+") as file:
        (port,) = free_ports(1)
        words = ("demo", "--port", str(port), "--admin-port", "0")
        program = origin.start(words, tmp_path, os.environ, [file.fileno()] * 3)
        assert lives(program.pid)
    origin.close()
    await gone(program.pid)


def test_what_the_interpreter_reads_at_its_start_cannot_be_had_by_a_fork() -> None:
    assert can_fork(SERVE, {"NO_COLOR": "1"})
    assert not can_fork(SERVE, {"PYTHONASYNCIODEBUG": "1"})
    assert not can_fork((sys.executable, "-c", "pass"), {})
