"""What this program tells systemd: that it starts, serves, loads its configuration, stops, and that its loop turns.

systemd names a datagram socket in ``NOTIFY_SOCKET`` (sd_notify). Without one nothing is sent, and nothing runs. A
worker sends nothing: its supervisor speaks for all.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog

from fsproxy.clock import monotonic_ns

TICK_SECONDS = 1.0
"""Seconds between two looks at the status, and two signs of life where the watchdog does not want them more often."""
STOP_SECONDS = 30.0
"""Seconds beyond ``server.drain`` in which the program has ended: the last answers, the last write of the state."""
WAIT_SECONDS = 1.0
"""How long what must not be lost waits for room in a queue that is full. A sign of life does not wait."""
log = structlog.get_logger("fsproxy")


class ServiceManager:
    """systemd, or nothing at all."""

    def __init__(self, environ: Mapping[str, str] = os.environ, *, takes_over: bool = False) -> None:
        """``takes_over``: this program becomes the unit's main process once it is ready."""
        self._address = environ.get("NOTIFY_SOCKET", "").encode()
        if self._address.startswith(b"@"):
            self._address = b"\0" + self._address[1:]
        self._takes_over = takes_over
        # Started by the program that it takes over from, it finds that program's number here.
        is_watched = takes_over or environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environ.get("WATCHDOG_USEC", "")
        self._watched = int(usec) / 1e6 if self._address and is_watched and usec.isdecimal() else 0.0
        self._is_ready = False
        self._shown = ""
        self._failed = False

    @contextmanager
    def follow(self, status: Callable[[], str]) -> Iterator[None]:
        """Send the status when it has changed and is not "", and signs of life, from the event loop within the block.

        A loop that is held for longer than the watchdog waits ends the program with SIGABRT. Then the stacks of all
        threads are printed, so that it can be found what has held it.
        """
        if not self._address:
            yield
            return
        if self._watched:
            faulthandler.enable()
        loop = asyncio.get_running_loop()
        timer: asyncio.Handle
        seconds = min(TICK_SECONDS, self._watched / 2 or TICK_SECONDS)

        def tick() -> None:
            nonlocal timer
            timer = loop.call_later(seconds, tick)
            lines = ["WATCHDOG=1"] if self._watched else []
            if (text := status()) and text != self._shown:
                lines.append(f"STATUS={text}")
            if lines and self._send(*lines, wait=0.0):
                self._shown = text

        timer = loop.call_soon(tick)
        try:
            yield
        finally:
            timer.cancel()

    def ready(self) -> None:
        """Tell that the data port is open."""
        self._is_ready = True
        self._send("READY=1", *([f"MAINPID={os.getpid()}"] if self._takes_over else ()))

    async def during_reload(self, reload: Callable[[], Awaitable[object]]) -> None:
        """Load the configuration anew, and tell when that begins and ends."""
        if self._is_ready:
            self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")
        await reload()
        if self._is_ready:
            self._send("READY=1")

    def stopping(self, drain: float, *, taken_over: bool) -> None:
        """Tell that the program ends, within ``drain`` seconds and a few more.

        Not when another program has taken over, or goes on because this one could not: systemd would stop that, too.
        """
        if not taken_over and (self._is_ready or not self._takes_over):
            self._send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int((drain + STOP_SECONDS) * 1e6)}")

    def _send(self, *lines: str, wait: float = WAIT_SECONDS) -> bool:
        """Return whether it was sent. Never raises."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(wait)
                sender.sendto("\n".join(lines).encode(), self._address)
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning("systemd cannot be notified", errno=error.errno, what=lines[0])
            self._failed = True
        return not self._failed
