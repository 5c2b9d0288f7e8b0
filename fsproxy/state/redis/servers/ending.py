"""Ends what runs in the background."""

from __future__ import annotations

import asyncio

AGAIN_SECONDS = 0.1


async def end(task: asyncio.Task[None] | None) -> None:
    """Cancel a task until it has ended, whatever it ends with.

    Once may not do: in Python 3.11, ``asyncio.wait_for``, which redis-py sends with, loses a cancellation that comes
    just when it is done.
    """
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN_SECONDS)
