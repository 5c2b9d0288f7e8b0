"""The network between the proxy and its upstream, which a test breaks and mends."""

from __future__ import annotations

import asyncio
import ssl
from enum import StrEnum, unique
from typing import Self

from fsproxy.fleet.queues import close_listeners
from support.raw_upstream import abort

CHUNK = 65_536
SLOW_PIECES = 6
SLOW_SECONDS = 0.003


@unique
class Fault(StrEnum):
    """What happens to connections, and to those that are open when it begins."""

    NONE = "none"
    REFUSE = "refuse"
    """Nothing listens."""
    RESET_AT_ONCE = "reset at once"
    RESET = "reset before the upstream has the request"
    LOSE_ANSWER = "reset after the upstream has the request, before the first byte of its answer"
    CUT = "closed after the first bytes of the answer"
    RESET_IN_ANSWER = "reset after the first bytes of the answer"
    HANG = "silence"
    SLOW = "both ways in small pieces"
    GARBAGE = "an answer that is not HTTP"


@unique
class _Way(StrEnum):
    UP = "up"
    DOWN = "down"


class FaultyLink:
    """``async with FaultyLink(port) as link``: passes bytes on to a port of 127.0.0.1, until ``set`` a fault."""

    def __init__(self, target: int, port: int = 0, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.host = host
        self.port = port
        self.tls = tls
        """What the proxy meets; from the next ``set`` on."""
        self.connections = 0
        self.fault = Fault.NONE
        self.met = 0
        """Connections, requests or answers that a fault was done to."""
        self._server: asyncio.Server | None = None
        self._servers: list[asyncio.Server] = []
        self._open: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()
        # A handshake that was under way belongs to nobody yet: it ends by itself, and must before the loop does.
        async with asyncio.timeout(120):
            while any(getattr(server, "_active_count", 0) for server in self._servers):
                await asyncio.sleep(0.01)

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://{self.host}:{self.port}"

    async def set(self, fault: Fault) -> None:
        """From now on; what is open when a fault begins or ends is reset, as after a change of route.

        Slowness alone comes and goes without that.
        """
        before, self.fault = self.fault, fault
        if {before, fault} == {Fault.NONE, Fault.SLOW}:
            return
        await self._close()
        if fault is not Fault.REFUSE:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self.tls)
        self._servers.append(self._server)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            await close_listeners([self._server])
            self._server = None
        tasks = list(self._open)
        for writers in self._open.values():
            for writer in writers:
                _reset(writer)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        self._open[task] = (writer,)
        try:
            if self.fault is Fault.RESET_AT_ONCE:
                self._do(writer)
                return
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.target)
            self._open[task] = (writer, far)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far, writer, _Way.UP))
                group.create_task(self._pump(far_reader, writer, writer, _Way.DOWN))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in self._open.pop(task):
                each.close()

    def _do(self, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        _reset(writer)

    async def _pump(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, proxy: asyncio.StreamWriter, way: _Way
    ) -> None:
        while data := await reader.read(CHUNK):
            match (self.fault, way):
                case (Fault.RESET, _Way.UP) | (Fault.LOSE_ANSWER, _Way.DOWN):
                    self._do(proxy)
                    return
                case (Fault.HANG, _Way.UP):
                    self.met += 1
                    continue
                case (Fault.CUT | Fault.RESET_IN_ANSWER, _Way.DOWN):
                    self.met += 1
                    to.write(data[: len(data) * 2 // 3])
                    await to.drain()
                    if self.fault is Fault.RESET_IN_ANSWER:
                        _reset(proxy)
                    to.close()
                    return
                case (Fault.GARBAGE, _Way.DOWN):
                    self.met += 1
                    to.write(b"220 mail.example.com ready\r\n" + data)
                    await to.drain()
                case (Fault.SLOW, _):
                    self.met += 1
                    await _slowly(to, data)
                case _:
                    to.write(data)
                    await to.drain()
        to.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    if not writer.transport.is_closing():
        abort(writer.transport)


async def _slowly(to: asyncio.StreamWriter, data: bytes) -> None:
    size = len(data) // SLOW_PIECES + 1
    for start in range(0, len(data), size):
        to.write(data[start : start + size])
        await to.drain()
        await asyncio.sleep(SLOW_SECONDS)
