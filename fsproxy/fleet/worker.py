"""One worker process, as its supervisor starts, signals and awaits it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Self

import structlog

from fsproxy.admin.workers.worker_pool import WorkerClient, WorkerState
from fsproxy.fleet.queues import Queue
from fsproxy.fleet.worker_channel import LEAVING, LISTENING, Orders, packed, send_queue

COMMAND = "fsproxy.worker_process"
HUNG_SECONDS = 60.0
"""A worker that has not answered for so long is ended, as systemd's watchdog ends a single process. A machine that is
overloaded lets one of many questions through."""
ABORT_SECONDS = 10.0
"""Seconds after which SIGKILL follows SIGABRT."""
LONGEST_LINE = 1024 * 1024
"""Bytes of what a worker sends at once: some kilobytes for all of its conditions."""

log = structlog.get_logger("fsproxy")


class Worker(WorkerClient):
    """A process that runs; ``start`` makes one."""

    def __init__(
        self,
        orders: Orders,
        process: asyncio.subprocess.Process,
        channel: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        direct: socket.socket,
    ) -> None:
        super().__init__(orders.number, process.pid, orders.admin)
        self.orders = orders
        self.leaves = False
        """It has reported that it accepts no more."""
        self.given: set[int] = set()
        """The numbers of the other queues from which it accepts."""
        self.missed_hangup = False
        """SIGHUP arrived before the worker listened."""
        self._process = process
        self._reader, self._writer = channel
        self._direct = direct
        """The same channel, as sockets are sent over it."""

    @classmethod
    async def start(cls, orders: Orders, config: bytes) -> Self:
        """Start a process and send it its orders and the packed configuration. Raise OSError when there can be none."""
        ours, theirs = socket.socketpair()
        try:
            # The worker must not import from a folder from which the supervisor would not.
            safe = [] if {"", os.getcwd()} & set(sys.path) else ["-P"]  # noqa: PTH109 - as it stands in sys.path
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *safe, "-m", COMMAND),
                stdin=theirs.fileno(),
                close_fds=True,
                pass_fds=orders.queue,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        direct = ours.dup()
        direct.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours, limit=LONGEST_LINE)
        writer.writelines((packed(orders), config))
        return cls(orders, process, (reader, writer), direct)

    @property
    def accepts(self) -> bool:
        """Whether it accepts connections, from its own queue and from others that it is given."""
        return self.state is WorkerState.LISTENING and not self.leaves

    def give(self, queues: Mapping[int, Queue]) -> None:
        """Have it accept from these queues besides its own, and from no others."""
        # A worker that hangs may have a full channel. It is given them when it is asked the next time.
        with suppress(OSError):
            for number in self.given - set(queues):
                send_queue(self._direct, number, ())
                self.given.discard(number)
            for number in set(queues) - self.given:
                send_queue(self._direct, number, queues[number])
                self.given.add(number)

    async def comes_up(self) -> bool:
        """Wait until the worker listens. Return False when it ends before that."""
        try:
            return await self._reader.read(1) == LISTENING
        except ConnectionError:
            return False

    async def ended(self, take: Callable[[int, bytes], None], on_leaving: Callable[[], None]) -> int:
        """Wait for the end of the process. Return its exit status, negative for a signal.

        ``take`` is called with the worker's number and each line that it sends, ``on_leaving`` when it accepts no more.
        """
        with suppress(ConnectionError, ValueError):  # it ends in the middle of a line, or has sent one that is too long
            while line := await self._reader.readline():
                if line == LEAVING:
                    self.leaves = True
                    on_leaving()
                elif line.endswith(b"\n"):
                    take(self.number, line)
        status = await self._process.wait()
        self._writer.close()
        self._direct.close()
        await self.close()
        return status

    def end_if_hung(self) -> None:
        """End the process if its event loop is held: it answers no request, and is replaced."""
        if self.accepts and (seconds := self.silent_seconds) >= HUNG_SECONDS:
            log.error("a worker does not answer and is ended", worker=self.number, seconds=round(seconds))
            # SIGABRT prints what holds it. A process that was stopped does not take it.
            self.signal(signal.SIGKILL if seconds >= HUNG_SECONDS + ABORT_SECONDS else signal.SIGABRT)

    def hang_up(self) -> None:
        """Have it load the configuration anew: now, or as soon as it listens (``missed_hangup``)."""
        if self.state is WorkerState.LISTENING:
            self.signal(signal.SIGHUP)
        else:
            self.missed_hangup = True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if the process still runs."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
