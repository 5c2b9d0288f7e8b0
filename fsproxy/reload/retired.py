"""Generations that were replaced: each is freed, in a thread, once no request holds it any more."""

from __future__ import annotations

import asyncio
import sys
from asyncio import to_thread
from typing import TYPE_CHECKING

from fsproxy.reload.free_in_steps import free_in_steps

if TYPE_CHECKING:
    from fsproxy.proxy.generation import Generation

FREE_SECONDS = 1.0
"""Seconds between two looks whether a generation that was replaced is still in use."""


class Retired:
    """Holds what is out of use, and looks from time to time what can be freed."""

    def __init__(self) -> None:
        self._held: list[Generation] = []
        self._freeing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return how many are not freed yet."""
        return len(self._held)

    def add(self, generation: Generation) -> None:
        """Free this one as soon as it can be. A socket may hold it for hours."""
        self._held.append(generation)
        if self._freeing is None or self._freeing.done():
            self._freeing = asyncio.get_running_loop().create_task(self._free())

    def close(self) -> None:
        """Look no more."""
        if self._freeing is not None:
            self._freeing.cancel()

    async def _free(self) -> None:
        while self._held:
            await asyncio.sleep(FREE_SECONDS)
            for index in reversed(range(len(self._held))):
                # The list holds it, and the argument of this very call.
                if sys.getrefcount(self._held[index]) <= 2:
                    await to_thread(free_in_steps, [self._held.pop(index)])
