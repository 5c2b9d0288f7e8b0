"""One worker process, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from enum import StrEnum, unique
from typing import Any, Self

import aiohttp

from fsproxy.clock import monotonic
from fsproxy.fleet.worker_channel import LISTENING, Orders, packed

COMMAND = "fsproxy.worker_process"
MOST_ANSWERED = 16 * 1024 * 1024
"""Bytes of one answer: more than 500 decisions or all metrics take. What is longer counts as none."""


@unique
class WorkerState(StrEnum):
    """Where it stands."""

    STARTING = "starting"
    LISTENING = "listening"
    ENDED = "ended"


class WorkerSilentError(Exception):
    """The worker did not answer in time, or not at all."""


class Worker:
    """A process that runs; ``start`` makes one."""

    def __init__(
        self,
        orders: Orders,
        process: asyncio.subprocess.Process,
        channel: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.number = orders.number
        self.orders = orders
        self.state = WorkerState.STARTING
        self.missed_hangup = False
        """SIGHUP came before it listened."""
        self.started = monotonic()
        self._process = process
        self._reader, self._writer = channel
        self._http = aiohttp.ClientSession(
            "http://worker", connector=aiohttp.UnixConnector(orders.admin), cookie_jar=aiohttp.DummyCookieJar()
        )

    @classmethod
    async def start(cls, orders: Orders) -> Self:
        """A new process, with its orders sent. Raises OSError when there can be none."""
        ours, theirs = socket.socketpair()
        try:
            # A folder that the supervisor would not import from is none for the worker either.
            safe = [] if {"", os.getcwd()} & set(sys.path) else ["-P"]  # noqa: PTH109 - as it stands in sys.path
            process = await asyncio.create_subprocess_exec(
                sys.executable, *safe, "-m", COMMAND, stdin=theirs.fileno(), close_fds=True
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(packed(orders))
        return cls(orders, process, (reader, writer))

    @property
    def pid(self) -> int:
        """Of the process; unique also among those that ended."""
        return self._process.pid

    async def comes_up(self) -> bool:
        """Wait until it listens; False when it ends before that."""
        try:
            return await self._reader.read(1) == LISTENING
        except ConnectionError:
            return False

    async def ended(self) -> int:
        """Wait for its end: the exit status, negative for a signal."""
        status = await self._process.wait()
        self.state = WorkerState.ENDED
        self._writer.close()
        await self._http.close()
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ask(self, method: str, path: str, seconds: float, body: Any = None) -> tuple[int, bytes]:
        """Ask its admin socket: status and body. ``body``: what to send as JSON, or the bytes of it.

        Raises WorkerSilent.
        """
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data is not None else {}
        try:
            async with (
                asyncio.timeout(seconds),
                self._http.request(method, path, data=data, headers=headers) as response,
            ):
                told = bytearray()
                async for chunk in response.content.iter_any():
                    told += chunk
                    if len(told) > MOST_ANSWERED:
                        raise WorkerSilentError(f"worker {self.number} says too much")
                return response.status, bytes(told)
        except (TimeoutError, aiohttp.ClientError, OSError, RuntimeError):
            # RuntimeError: it ended, and its session was closed meanwhile.
            raise WorkerSilentError(f"worker {self.number} does not answer") from None
