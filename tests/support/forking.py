"""Programs that start without the second of CPU that it takes to import them: forks of a process that has imported them.

From our first line on such a program does what it does when it is started from a shell. What the interpreter does and
reads before that (``PYTHON...`` in the environment) is that of the process that is forked. ``FSPROXY_TEST_FORKS=off``
starts every program from its beginning.

This file run as a program is the process that is forked. It is asked over a socket on its standard input: a line of
JSON, and with it the descriptors of the program's standard streams and of a pipe. Into the pipe it writes the program's
process id, and at the program's end what ``waitpid`` said of it.
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
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONWARNINGS": ""}
"""Of a program's interpreter, beside what is in this process's."""
SWITCH = "FSPROXY_TEST_FORKS"
IMPORTED = ("fsproxy.cli.serve", "fsproxy.cli.demo", "fsproxy.worker_process", "uvloop")
"""What programs import that serve."""
STREAMS = 3
LINE, READ = 64, 65_536
"""Bytes, of what is told of a program, and of what is asked. A line in a pipe is read as it was written, whole."""
POLL = 0.01


class Fork:
    """A program that runs or has ended, with what tests use of ``asyncio.subprocess.Process``."""

    def __init__(self, told: int) -> None:
        self._told = told
        self._code: int | None = None
        self.pid = int(os.read(told, LINE))
        os.set_blocking(told, False)

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        if self._code is None:
            with suppress(BlockingIOError):
                self._code = os.waitstatus_to_exitcode(int(os.read(self._told, LINE)))
                os.close(self._told)
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

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)


class Origin:
    """A process that is forked, as those see it who ask it."""

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair()
        environment = {**os.environ, **ENVIRONMENT}
        with theirs:
            self._process = subprocess.Popen([sys.executable, __file__], stdin=theirs, env=environment)
        atexit.register(self.close)

    def start(self, arguments: Sequence[str], folder: Path, env: Mapping[str, str], streams: Sequence[int]) -> Fork:
        told, theirs = os.pipe()
        try:
            text = json.dumps([str(folder), dict(env), list(arguments)]).encode() + b"\n"
            sent = socket.send_fds(self._link, [text], [*streams, theirs])
            self._link.sendall(text[sent:])
        finally:
            os.close(theirs)
        return Fork(told)

    def close(self) -> None:
        self._link.close()
        self._process.wait()


_origins: list[Origin] = []
_turns = itertools.count()


def can_fork(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether this is a command of ours that a fork can do, with these changes of the environment."""
    ours = tuple(command[:3]) == (sys.executable, "-m", "fsproxy")
    return ours and os.environ.get(SWITCH) != "off" and not any(name.startswith("PYTHON") for name in env)


def fork(command: Sequence[str], folder: Path, env: Mapping[str, str], streams: Sequence[int]) -> Fork:
    """Start a command that can be forked, with this whole environment and these three standard streams.

    Two processes are forked in turn, so that of two programs each has a seed of its own for ``hash``.
    """
    if len(_origins) < 2:
        _origins.append(Origin())
    return _origins[next(_turns) % 2].start(command[3:], folder, env, streams)


def main() -> None:
    """Be forked, until nobody is left who would ask; then end the programs that still run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path.remove(str(Path(__file__).parent))
    for name in IMPORTED:
        import_module(name)
    gc.freeze()
    link = socket.socket(fileno=os.dup(0))
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    programs: dict[int, int] = {}
    while True:
        ready, *_ = select.select([link, woken], [], [])
        if woken in ready:
            os.read(woken, READ)
            _tell_of_the_ended(programs)
        if link not in ready:
            continue
        if (asked := _asked(link)) is None:
            break
        arguments, (*streams, told) = asked
        if (pid := os.fork()) == 0:
            for other in (told, woken, wake, link.detach(), *programs.values()):
                os.close(other)
            _run(streams, *arguments)
        for stream in streams:
            os.close(stream)
        _tell(told, pid)
        programs[pid] = told
    for pid in programs:
        os.kill(pid, signal.SIGKILL)


def _asked(link: socket.socket) -> tuple[Any, list[int]] | None:
    """A program that is asked for; None when nobody is left who would ask."""
    text, streams, *_ = socket.recv_fds(link, READ, STREAMS + 1)
    while text and not text.endswith(b"\n"):
        text += link.recv(READ)
    return (json.loads(text), streams) if text else None


def _tell(program: int, number: int) -> None:
    with suppress(BrokenPipeError):  # its test has ended
        os.write(program, b"%d\n" % number)


def _tell_of_the_ended(programs: dict[int, int]) -> None:
    while programs:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        _tell(programs[pid], status)
        os.close(programs.pop(pid))


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
    main()
