"""The proxy as a real process, started as a user starts it."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from support.audit_lines import kept
from support.forking import FSPROXY, Fork, nothing, started
from support.log_lines import log_lines
from support.ports import free_ports

START_DEADLINE = 120.0
STOP_DEADLINE = 90.0
POLL = 0.02
Program = asyncio.subprocess.Process | Fork
SERVE = (*FSPROXY, "serve")


class ProxyDiedError(Exception):
    """The process ended, or was not ready in time; the message holds what it said."""


@dataclass
class RunningProxy:
    """A proxy process that is ready."""

    process: Program
    folder: Path
    port: int
    admin_port: int
    env: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = SERVE
    killed: bool = False

    @property
    def url(self) -> str:
        """Where recorders are answered; without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        """The admin listener's; without a slash at its end."""
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def config_path(self) -> Path:
        """The configuration file that the process reads; a test may rewrite it."""
        return self.folder / "fsproxy.yaml"

    def audit_lines(self) -> list[dict[str, Any]]:
        """The audit lines that stand on stdout by now; a last line that is not yet whole is left out."""
        text = (self.folder / "stdout").read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    async def audit(self, count: int, deadline: float = 120.0) -> list[dict[str, Any]]:
        """Waits until there are so many audit lines; fails the test when there are more, or after ``deadline``."""
        try:
            async with asyncio.timeout(deadline):
                while len(lines := self.audit_lines()) < count:
                    await asyncio.sleep(POLL)
        except TimeoutError:
            raise AssertionError(f"{len(self.audit_lines())} audit lines, not {count}: {self.log_text()}") from None
        assert len(lines) == count, lines
        return lines

    def log_text(self) -> str:
        """The operational log: all of stderr."""
        return (self.folder / "stderr").read_text()

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Puts a configuration in place of the present one, in one step, with this process's own addresses."""
        _write_config(self.config_path, config, self.port, self.admin_port)

    def signal(self, number: signal.Signals) -> None:
        """Sends the process a signal."""
        self.process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL, and the end of the process."""
        self.killed = True
        self.process.kill()
        await self.process.wait()

    async def start_again(self, *options: str) -> None:
        """Another process in the place of this one, ready. This one must end by itself, with status 0, or be killed.

        It must have ended before, as it keeps its ports while it drains; with ``--take-over`` it goes once the other
        listens.
        """
        before = self.process
        if before.returncode is None and "--take-over" not in options:
            await self._end_of(before, STOP_DEADLINE)
        self.process = await start(self.folder, self.env, (*self.command, *options))
        if before.returncode is None:
            await self._end_of(before, START_DEADLINE + STOP_DEADLINE)
        self.killed = False
        await ready(self)

    async def stop(self) -> None:
        """SIGTERM; fails the test unless the process ends in time, with the exit status 0 (or the test killed it)."""
        if self.killed:
            return
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        await self._end_of(self.process, STOP_DEADLINE)

    async def _end_of(self, process: Program, deadline: float) -> None:
        """Fails the test unless a process ends in time, with the exit status 0."""
        try:
            async with asyncio.timeout(deadline):
                code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        assert code == 0, f"exit status {code}: {self.log_text()}"


@asynccontextmanager
async def running_proxy(
    config: Mapping[str, Any],
    env: Mapping[str, str] | None = None,
    *,
    files: Mapping[str, str] | None = None,
    command: Sequence[str] = SERVE,
) -> AsyncIterator[RunningProxy]:
    """``fsproxy serve`` with this configuration, in a folder of its own, ready; stopped at the end.

    ``listen`` and ``admin`` get free ports, unless ``listen`` says ``unix``. ``env`` is added to the environment,
    ``files`` are written beside the configuration. Leaving the block without an error asserts a clean stop, and that
    every line on standard error is one of the operational log.
    """
    port, admin_port = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="fsproxy-test-") as name, kept(Path(name), config):
        folder = Path(name)
        for file, text in (files or {}).items():
            (folder / file).write_text(text)
        _write_config(folder / "fsproxy.yaml", config, port, admin_port)
        process = await start(folder, env or {}, command)
        proxy = RunningProxy(process, folder, port, admin_port, env or {}, command)
        try:
            await ready(proxy)
            yield proxy
            await proxy.stop()
            if "serve" in command:
                log_lines(proxy.log_text())
        finally:
            if proxy.process.returncode is None:
                proxy.process.kill()
                await proxy.process.wait()


def _write_config(path: Path, config: Mapping[str, Any], port: int, admin_port: int) -> None:
    whole = deepcopy(dict(config))
    listen = whole.setdefault("listen", {})
    if "unix" not in listen:
        whole["listen"] = {"host": "127.0.0.1", **listen, "port": port}
    whole["admin"] = {"host": "127.0.0.1", **whole.get("admin", {}), "port": admin_port}
    whole.setdefault("state", {}).setdefault("persist", None)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(whole, indent=1))  # JSON is YAML
    new.replace(path)


async def start(folder: Path, env: Mapping[str, str], command: Sequence[str], options: Sequence[str] = ()) -> Program:
    """Starts it with these options, by default with the folder's configuration; ``stdout`` and ``stderr`` lie there."""
    options = options or ("--config", str(folder / "fsproxy.yaml"))
    with nothing() as none, (folder / "stdout").open("ab") as out, (folder / "stderr").open("ab") as err:
        return await started((*command, *options), folder, env, (none, out, err))


async def ready(proxy: RunningProxy) -> None:
    """Waits until it is ready."""
    try:
        async with asyncio.timeout(START_DEADLINE), aiohttp.ClientSession() as session:
            while proxy.process.returncode is None:
                if await _is_ready(session, proxy.admin_url):
                    return
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise ProxyDiedError(f"not ready after {START_DEADLINE} s: {proxy.log_text()}") from None
    raise ProxyDiedError(f"exit status {proxy.process.returncode}: {proxy.log_text()}")


async def _is_ready(session: aiohttp.ClientSession, admin_url: str) -> bool:
    try:
        async with session.get(f"{admin_url}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False
