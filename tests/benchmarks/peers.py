"""The processes that are measured: started on their own core, each in a process group of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import configs
import process
from configs import Setup

START_DEADLINE = 120.0
"""Reading 100,000 rules takes its time."""
POLL = 0.05
HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class PeerError(Exception):
    """A peer did not start; the message holds the end of what it said."""


@dataclass
class Peer:
    """One running process, or somebody else's that is only asked."""

    name: str
    port: int
    pids: list[int] = field(default_factory=list)
    """Empty where the process is not known: then CPU and memory are not either."""
    static_port: int | None = None
    """Where a peer answers itself that otherwise forwards; None: on the same port."""
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
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._folder is not None:
            self._folder.cleanup()


def available(peer: str) -> bool:
    """Whether this machine has what the peer needs."""
    return peer != "nginx" or _nginx() is not None


def _nginx() -> str | None:
    # Servers stand in sbin, which is not on everybody's path.
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def start(name: str, setup: Setup, upstream_port: int, cores: tuple[int, ...], checkout: Path = ROOT) -> Peer:
    """Start a peer and wait until it accepts. Raises ``PeerError``.

    ``setup`` and ``checkout`` are of those that are fsproxy.
    """
    folder = tempfile.TemporaryDirectory(prefix="fsproxy-bench-")
    port, admin_port = free_port_pair(), free_port_pair()
    is_fsproxy = name not in {"nginx", "bare", "naive", "validating"}
    if name == "nginx":
        file = configs.write_nginx(Path(folder.name), port, upstream_port)
        command = [_nginx() or name, "-p", folder.name, "-c", str(file)]
    elif is_fsproxy:
        file = configs.write_fsproxy(Path(folder.name), setup, port, admin_port, upstream_port)
        command = [sys.executable, "-m", "fsproxy", "serve", "--config", str(file)]
    else:
        command = [sys.executable, str(HERE / "aiohttp_peers.py"), name, str(port), str(upstream_port)]
    child = _spawn(command, Path(folder.name), cores, checkout)
    static_port = port + 1 if name == "nginx" else None
    peer = Peer(name, port, static_port=static_port, _process=child, _folder=folder)
    until = time.monotonic() + START_DEADLINE
    while child.poll() is None and time.monotonic() < until:
        if is_ready(admin_port) if is_fsproxy else accepts(port):
            peer.refresh()
            return peer
        time.sleep(POLL)
    said = (Path(folder.name) / "output").read_text(errors="replace")[-2000:].strip() or "(nothing)"
    what = f"not ready after {START_DEADLINE:.0f} s" if child.poll() is None else f"ended with {child.returncode}"
    peer.stop()
    raise PeerError(f"{what}: {said}")


def _spawn(command: list[str], folder: Path, cores: tuple[int, ...], checkout: Path) -> subprocess.Popen[bytes]:
    with process.pinned(*cores), (folder / "output").open("wb") as file:
        return subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(checkout), "TMPDIR": str(folder)},
        )


def accepts(port: int) -> bool:
    """Whether something listens."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


def is_ready(admin_port: int) -> bool:
    """Whether an fsproxy says that it is ready."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", admin_port), 1.0) as sock:
        sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return sock.recv(12).endswith(b" 200")
    return False


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
