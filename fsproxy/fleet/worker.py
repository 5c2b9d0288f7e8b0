"""One worker process, as its supervisor starts, signals and awaits it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from fsproxy.admin.workers.worker_pool import WorkerClient
from fsproxy.fleet.worker_channel import LISTENING, Orders, packed

COMMAND = "fsproxy.worker_process"
LONGEST_LINE = 1024 * 1024
"""Bytes of what a worker sends at once: some kilobytes for all of its conditions."""


class Worker(WorkerClient):
    """A process that runs; ``start`` makes one."""

    def __init__(
        self,
        orders: Orders,
        process: asyncio.subprocess.Process,
        channel: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        super().__init__(orders.number, process.pid, orders.admin)
        self.orders = orders
        self.missed_hangup = False
        """SIGHUP arrived before the worker listened."""
        self._process = process
        self._reader, self._writer = channel

    @classmethod
    async def start(cls, orders: Orders) -> Self:
        """Start a process and send it its orders. Raise OSError when there can be none."""
        ours, theirs = socket.socketpair()
        try:
            # The worker must not import from a folder from which the supervisor would not.
            safe = [] if {"", os.getcwd()} & set(sys.path) else ["-P"]  # noqa: PTH109 - as it stands in sys.path
            process = await asyncio.create_subprocess_exec(
                sys.executable, *safe, "-m", COMMAND, stdin=theirs.fileno(), close_fds=True
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours, limit=LONGEST_LINE)
        writer.write(packed(orders))
        return cls(orders, process, (reader, writer))

    async def comes_up(self) -> bool:
        """Wait until the worker listens. Return False when it ends before that."""
        try:
            return await self._reader.read(1) == LISTENING
        except ConnectionError:
            return False

    async def ended(self, take: Callable[[int, bytes], None]) -> int:
        """Wait for the end of the process. Return its exit status, negative for a signal.

        ``take`` is called with the worker's number and each line that it sends.
        """
        with suppress(ConnectionError, ValueError):  # it ends in the middle of a line, or has sent one that is too long
            while line := await self._reader.readline():
                if line.endswith(b"\n"):
                    take(self.number, line)
        status = await self._process.wait()
        self._writer.close()
        await self.close()
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if the process still runs."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
