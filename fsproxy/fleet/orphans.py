"""The end of processes that became this one's children because it is the first of its container (PID 1).

They are not awaited, so each would stay a zombie and hold its number. The event loop awaits each child of our own by
its number, and would wait for ever if another took its exit status. So a child that has ended is only looked at first.
One that is still there at the next look is an orphan, as the loop has turned meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LOOK_SECONDS = 1.0
"""Seconds between two looks."""
NEXT_SECONDS = 0.1
"""The same once one was found: the event loop turns many times meanwhile, and one turn is enough for it."""


@contextmanager
def orphans_reaped() -> Iterator[None]:
    """Reap what is not awaited, a few in a second, within the block. On systems without ``waitid`` nothing happens."""
    loop = asyncio.get_running_loop()
    before: int | None = None
    timer: asyncio.Handle

    def look() -> None:
        nonlocal before, timer
        found = _ended_child()
        if found is not None and found == before:
            with suppress(ChildProcessError):
                os.waitpid(found, os.WNOHANG)
            found = _ended_child()
        before = found
        timer = loop.call_later(LOOK_SECONDS if found is None else NEXT_SECONDS, look)

    timer = loop.call_later(LOOK_SECONDS, look)
    if not hasattr(os, "waitid"):
        timer.cancel()
    try:
        yield
    finally:
        timer.cancel()


def _ended_child() -> int | None:
    """Return the number of a child that has ended and was not awaited yet. It stays so."""
    with suppress(ChildProcessError):
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended.si_pid if ended is not None else None
    return None
