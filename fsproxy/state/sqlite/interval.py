"""The pauses of a writer that writes every few seconds, or sooner for who waits for it."""

from __future__ import annotations

import asyncio
import contextlib


class Interval:
    """Pauses of ``seconds``, one after the other, until ``stop``."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._stopped = False
        self._wake = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._served: list[asyncio.Future[None]] = []

    async def passed(self) -> bool:
        """Wait for the end of a pause. Return False once there are no more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self._wake.wait()
        self._wake.clear()
        self._served += self._waiting
        self._waiting = []
        return not self._stopped

    async def next_write(self) -> None:
        """End the pause, and wait for the end of the write that follows. After the last one this returns at once."""
        if not self._stopped:
            written = asyncio.get_running_loop().create_future()
            self._waiting.append(written)
            self._wake.set()
            await written

    def written(self) -> None:
        """Let those go on who waited for this write."""
        served, self._served = self._served, []
        for each in served:
            if not each.done():
                each.set_result(None)

    def stop(self) -> None:
        """End the pause, and let it be the last one."""
        self._stopped = True
        self._wake.set()
