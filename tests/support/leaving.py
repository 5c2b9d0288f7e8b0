"""Clients that leave right after their last byte, in the ways in which clients do: closed tabs, killed apps, tools."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from enum import StrEnum, unique

NO_LINGER = struct.pack("ii", 1, 0)


@unique
class Way(StrEnum):
    """How a client leaves."""

    CLOSE = "closes"
    RESET = "resets"
    HALF = "ends its side and stays"


class LeavingClient:
    """A connection to 127.0.0.1 that is left in the same turn in which its last bytes are sent."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    async def send(self, data: bytes) -> None:
        """Send all of it, and wait until the kernel has it."""
        self._socket.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def leave(self, way: Way, last: bytes = b"") -> None:
        """Send the last bytes and leave. One that only ends its side stays open until ``close``."""
        await self.send(last)
        if way is Way.HALF:
            self._socket.shutdown(socket.SHUT_WR)
            return
        if way is Way.RESET:
            await self._arrived()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self._socket.close()

    async def _arrived(self) -> None:
        """A reset takes back what the other side's kernel does not have yet."""
        async with asyncio.timeout(120):
            while struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, b"\0" * 4))[0]:
                await asyncio.sleep(0)

    async def rest(self) -> bytes:
        """All that still comes, until the other side closes."""
        parts: list[bytes] = []
        async with asyncio.timeout(120):
            while part := await asyncio.get_running_loop().sock_recv(self._socket, 65_536):
                parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Leave for good."""
        self._socket.close()


async def send_and_leave(port: int, data: bytes, way: Way = Way.CLOSE) -> LeavingClient:
    """Connect, send and leave at once."""
    client = LeavingClient(port)
    await client.leave(way, data)
    return client
