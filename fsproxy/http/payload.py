"""A request's body: whole with its head, or read as it comes."""

from __future__ import annotations

import asyncio

import msgspec

from fsproxy.http.aiohttp_parts import StreamReader


class WholeBody(msgspec.Struct, gc=False):
    """A body that was there with its head. It has those methods of ``StreamReader`` that are used."""

    data: bytes

    def is_eof(self) -> bool:
        """Return True: nothing more will come."""
        return True

    def set_exception(self, exc: BaseException) -> None:
        """Do nothing, as there is nothing to interrupt."""

    def read_nowait(self, _: int = -1) -> bytes:
        """Return all of the body, and from then on nothing."""
        data, self.data = self.data, b""
        return data

    async def readany(self) -> bytes:
        """Return all of the body, and from then on nothing."""
        return self.read_nowait()


Payload = StreamReader | WholeBody


async def drain(payload: Payload, seconds: float) -> bool:
    """Read a body to its end and drop it. Return False if that took too long or the body broke."""
    try:
        async with asyncio.timeout(seconds):
            while await payload.readany():
                pass
    except Exception:  # noqa: BLE001 - however the body ends, its request was answered
        return False
    return True
