"""The processes that are measured: started on their own core, each in a process group of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import configs
import process
from configs import PathSpec

START_DEADLINE = 120.0
"""Reading 100,000 rules takes its time."""
POLL = 0.05
HERE = Path(__file__).parent


class PeerError(Exception):
    """A peer did not start; the message holds the end of what it said."""


@dataclass
class Peer:
    """One running process, or somebody else's that is only asked."""

    name: str
    port: int
    pids: list[int] = field(default_factory=list)
    """Empty where the process is not known: then CPU and memory are not either."""
    _process: subprocess.Popen[bytes] | None = None
    _folder: tempfile.TemporaryDirectory[str] | None = None

    def refresh(self) -> None:
        """Sees which processes its group has now."""
        if self._process is not None:
            self.pids = process.members(self._process.pid)

    def forget_audit(self) -> None:
        """Empties the audit file: a long run must not fill the disk."""
        if self._folder is not None:
            file = Path(self._folder.name) / "audit.jsonl"
            if file.exists():
                os.truncate(file, 0)

    def stop(self) -> None:
        """Ends the whole group."""
        if self._process is not None:
            _kill(self._process)
        if self._folder is not None:
            self._folder.cleanup()


def _kill(child: subprocess.Popen[bytes]) -> None:
    # Not SIGTERM: a proxy would wait for answers of the upstream, which lives in the loop that this call holds up.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def available(peer: str) -> bool:
    """Whether this machine has what the peer needs."""
    return peer not in {"nginx", "haproxy"} or _found(peer) is not None


def _found(program: str) -> str | None:
    # Servers stand in sbin, which is not on everybody's path.
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


async def start(name: str, path: PathSpec, upstream_port: int, core: int) -> Peer:
    """Starts a peer for a path and waits until it accepts; raises ``PeerError``."""
    folder = tempfile.TemporaryDirectory(prefix="fsproxy-bench-")
    port, admin_port = free_port_pair(), free_port_pair()
    command = _command(name, path, Path(folder.name), (port, admin_port, upstream_port))
    child = _spawn(command, Path(folder.name) / "output", core)
    listens_at = port + 1 if path.is_static and name in {"nginx", "haproxy"} else port
    peer = Peer(name, listens_at, _process=child, _folder=folder)
    try:
        async with asyncio.timeout(START_DEADLINE):
            while child.poll() is None and not await is_ready(name, listens_at, admin_port):
                await asyncio.sleep(POLL)
    except TimeoutError:
        said = f"not ready after {START_DEADLINE:.0f} s: {_said(folder.name)}"
        peer.stop()
        raise PeerError(said) from None
    if child.poll() is not None:
        said = f"ended with {child.returncode}: {_said(folder.name)}"
        peer.stop()
        raise PeerError(said)
    peer.refresh()
    return peer


def _spawn(command: list[str], output: Path, core: int) -> subprocess.Popen[bytes]:
    with process.pinned(core), output.open("wb") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
        )


def _command(name: str, path: PathSpec, folder: Path, ports: tuple[int, int, int]) -> list[str]:
    port, admin_port, upstream_port = ports
    if name == "nginx":
        file = configs.write_nginx(folder, port, upstream_port)
        return [_found(name) or name, "-p", str(folder), "-c", str(file)]
    if name == "haproxy":
        return [_found(name) or name, "-db", "-f", str(configs.write_haproxy(folder, port, upstream_port))]
    if name == "fsproxy":
        file = configs.write_fsproxy(folder, path, port, admin_port, upstream_port)
        return [sys.executable, "-m", "fsproxy", "serve", "--config", str(file)]
    return [sys.executable, str(HERE / "aiohttp_peers.py"), name, str(port), str(upstream_port)]


async def is_ready(name: str, port: int, admin_port: int) -> bool:
    """Whether the peer accepts; fsproxy, whether it says that it is ready."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", admin_port if name == "fsproxy" else port)
    except OSError:
        return False
    try:
        if name != "fsproxy":
            return True
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return (await reader.read(12)).endswith(b" 200")
    except OSError:
        return False
    finally:
        writer.close()


def _said(folder: str) -> str:
    return (Path(folder) / "output").read_text(errors="replace")[-2000:].strip() or "(nothing)"


def free_port_pair() -> int:
    """A port that is free together with the next one."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
