"""A program that is forked is one that was started: its ports, streams, folder, environment, signals and end."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from support.commands import run
from support.forking import FORKS, Fork, Origin, origin
from support.ports import free_ports
from support.proxy import running_proxy
from support.workers import gone, lives

pytestmark = pytest.mark.skipif(not FORKS, reason="every program is started from its beginning")


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
    own = Origin()
    with (tmp_path / "all").open("w+") as file:
        (port,) = free_ports(1)
        words = ("demo", "--port", str(port), "--admin-port", "0")
        program = own.start(words, tmp_path, os.environ, [file.fileno()] * 3)
        assert lives(program.pid)
    own.close()
    await gone(program.pid)
    with pytest.raises(AssertionError, match="has ended"):
        _ = program.returncode


async def test_a_shell_has_it_as_a_command_with_its_streams_and_its_status(tmp_path: Path) -> None:
    script = 'echo "upstream: {}" > a.yaml; fsproxy check a.yaml 2>&1 | cat; fsproxy --version; fsproxy serve --nope'
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=tmp_path, env={"PATH": f"{origin().folder}:/usr/bin:/bin"}, stdout=-1
    )
    out, _ = await shell.communicate()
    fault, *_, version = out.decode().splitlines()
    assert "a.yaml:1:" in fault
    assert version.startswith("fsproxy, version")
    assert shell.returncode == 2


async def test_what_the_interpreter_reads_at_its_start_is_no_fork(tmp_path: Path) -> None:
    async with running_proxy({"upstream": {"url": "http://127.0.0.1:9"}}, {"PYTHONASYNCIODEBUG": "1"}) as proxy:
        assert not isinstance(proxy.process, Fork)
