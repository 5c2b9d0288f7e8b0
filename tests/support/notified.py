"""A systemd that listens: what a program sends to ``NOTIFY_SOCKET``."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager


class Notified:
    """A real datagram socket on the running loop, and what has come."""

    def __init__(self, address: str) -> None:
        """``address``: a path, or a name that begins with ``@``."""
        self.address = address
        self.lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

        # The kernel keeps ten messages for a reader that is slow.
        asyncio.get_running_loop().add_reader(self._socket, self.read)

    def read(self) -> list[str]:
        """All lines so far, those that come in one message after each other."""
        while True:
            try:
                self.lines += self._socket.recv(65_536).decode().split("\n")
            except BlockingIOError:
                return self.lines

    async def until(self, line: str, count: int = 1) -> None:
        """Wait until this line has come so often."""
        async with asyncio.timeout(60):
            while self.read().count(line) < count:
                await asyncio.sleep(0.02)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()


@contextmanager
def notified(address: str) -> Iterator[Notified]:
    """Listen at this address."""
    made = Notified(address)
    try:
        yield made
    finally:
        made.close()
