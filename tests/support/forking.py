"""Programs that start without the second of CPU that it takes to import them: forks of a process that has imported them.

From our first line on such a program does what it does when it is started from a shell. What the interpreter and the
libraries read before that in the environment is that of the process that is forked. ``FSPROXY_TEST_FORKS=off`` starts
every program from its beginning.

This file run as a program is the process that is forked. Each connection to its socket asks for one program: a line of
JSON, and with it the descriptors of the standard streams. On it comes back the process id, and at the program's end
what ``waitpid`` said of it.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import itertools
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NoReturn

FSPROXY = (sys.executable, "-m", "fsproxy")
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONWARNINGS": ""}
"""Of a program's interpreter, beside what is in this process's."""
FORKS = os.environ.get("FSPROXY_TEST_FORKS") != "off"
AT_ITS_START = ("PYTHON", "AIO")
"""How the names of variables begin that are read before our first line."""
IMPORTED = (
    *("serve", "demo", "check", "doctor", "explain", "validate", "redact", "plan", "why", "mode", "lists", "try_"),
    *("replay", "import_settings", "schema"),
)
READ = 65_536
POLL = 0.01
COMMAND = """\
#!{python} -IS
import json, os, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect({path!r})
text = json.dumps([os.getcwd(), dict(os.environ), sys.argv[1:]]) + "\\n"
socket.send_fds(link, [text.encode()], [0, 1, 2])
_, status = link.makefile()
sys.exit(os.waitstatus_to_exitcode(int(status)))
"""
"""The program ``fsproxy`` for a shell: as a fork."""


class Fork:
    """A program that runs or has ended, with what tests use of ``asyncio.subprocess.Process``."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._code: int | None = None
        self.pid = int(self._line())
        link.setblocking(False)

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        if self._code is None:
            with suppress(BlockingIOError):
                self._code = os.waitstatus_to_exitcode(int(self._line()))
                self._link.close()
        return self._code

    async def wait(self) -> int:
        """Its exit status, at its end."""
        while (code := self.returncode) is None:
            await asyncio.sleep(POLL)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM, unless it has ended."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def _line(self) -> bytes:
        """What is told next; two lines are never read as one."""
        line = b""
        while not line.endswith(b"\n"):
            read = self._link.recv(1)
            if not read:
                self._link.close()
                raise AssertionError("the process that is forked has ended")
            line += read
        return line


class Origin:
    """A process that is forked, as those see it who ask it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fsproxy-test-"))
        """Has the program ``fsproxy``."""
        self._path = f"{self.folder}/socket"
        command = self.folder / "fsproxy"
        command.write_text(COMMAND.format(python=sys.executable, path=self._path))
        command.chmod(0o700)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._path)
            listener.listen()
            number = listener.fileno()
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(number)], stdin=-1, pass_fds=[number], env={**os.environ, **ENVIRONMENT}
            )
        atexit.register(self.close)

    def start(self, arguments: Sequence[str], folder: Path, env: Mapping[str, str], streams: Sequence[int]) -> Fork:
        """``python -m fsproxy ARGUMENTS``, with this whole environment."""
        link = socket.socket(socket.AF_UNIX)
        link.connect(self._path)
        text = json.dumps([str(folder), dict(env), list(arguments)]).encode() + b"\n"
        sent = socket.send_fds(link, [text], streams)
        link.sendall(text[sent:])
        return Fork(link)

    def close(self) -> None:
        """End it, and the programs that still run."""
        self._process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)


_origins: list[Origin] = []
_turns = itertools.count()


def origin() -> Origin:
    """Two are forked in turn, so that of two programs each has a seed of its own for ``hash``."""
    if len(_origins) < 2:
        _origins.append(Origin())
    return _origins[next(_turns) % 2]


def nothing() -> IO[bytes]:
    """An empty standard input."""
    return Path(os.devnull).open("rb")


async def started(
    command: Sequence[str], folder: Path, env: Mapping[str, str], streams: Sequence[IO[Any]]
) -> Fork | asyncio.subprocess.Process:
    """Start a command with these changes of the environment and these standard streams; as a fork when it can be one."""
    whole = {**os.environ, **ENVIRONMENT, **env}
    if tuple(command[:3]) == FSPROXY and FORKS and not any(name.startswith(AT_ITS_START) for name in env):
        return origin().start(command[3:], folder, whole, [each.fileno() for each in streams])
    stdin, stdout, stderr = streams
    return await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=whole, stdin=stdin, stdout=stdout, stderr=stderr
    )


def main(number: int) -> None:
    """Be forked, until nobody is left who would ask; then end the programs that still run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path.remove(str(Path(__file__).parent))
    for name in ("fsproxy.worker_process", *(f"fsproxy.cli.{each}" for each in IMPORTED)):
        import_module(name)
    gc.freeze()
    listener = socket.socket(fileno=number)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    programs: dict[int, socket.socket] = {}
    while 0 not in (ready := select.select([0, listener, woken], [], [])[0]):
        if woken in ready:
            os.read(woken, READ)
            _tell_of_the_ended(programs)
        if listener in ready:
            link, _ = listener.accept()
            arguments, streams = _asked(link)
            if (pid := os.fork()) == 0:
                for other in (woken, wake, *(each.detach() for each in (listener, link, *programs.values()))):
                    os.close(other)
                _run(streams, *arguments)
            for stream in streams:
                os.close(stream)
            _tell(link, pid)
            programs[pid] = link
    for pid in programs:
        os.kill(pid, signal.SIGKILL)


def _asked(link: socket.socket) -> tuple[Any, list[int]]:
    """What a program is given."""
    text, streams, *_ = socket.recv_fds(link, READ, 3)
    while not text.endswith(b"\n"):
        text += link.recv(READ)
    return json.loads(text), streams


def _tell(link: socket.socket, number: int) -> None:
    with suppress(OSError):  # its test has ended
        link.sendall(b"%d\n" % number)


def _tell_of_the_ended(programs: dict[int, socket.socket]) -> None:
    while programs:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with programs.pop(pid) as link:
            _tell(link, status)


def _run(streams: Sequence[int], folder: str, env: Mapping[str, str], arguments: Sequence[str]) -> NoReturn:
    """Be a new program."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.argv = ["fsproxy", *arguments]
    runpy.run_module("fsproxy", run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main(int(sys.argv[1]))
