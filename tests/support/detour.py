"""A server that leads back to the proxy, as a name that was pointed at it does."""

from __future__ import annotations

import asyncio

from support.raw_http import ServerSide


class Detour:
    """A server that passes all bytes on to the proxy, whose port is known only later."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0

    async def serve(self, side: ServerSide) -> None:
        self.connections += 1
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await asyncio.gather(pour(side.reader, writer), pour(reader, side.writer))
        finally:
            writer.transport.abort()


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(2**16):
        writer.write(data)
        await writer.drain()
    writer.close()
