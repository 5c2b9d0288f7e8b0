"""The end of processes that became this one's children because it is the first of its container (PID 1).

Nobody awaits them, so each would stay a zombie and hold its number. The event loop awaits each child of our own by its
number, and would wait for ever if another took its exit status. So a child that has ended is only looked at first. One
that is still there at the next look is nobody's, as the loop has turned meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

LOOK_SECONDS = 1.0
"""Seconds between two looks."""
NEXT_SECONDS = 0.1
"""The same once one was found: the event loop turns many times meanwhile, and one turn is enough for it."""


class Orphans:
    """Reaps what nobody awaits, a few in a second."""

    def __init__(self) -> None:
        self._found: int | None = None
        """A child that had ended at the last look."""
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look now and from now on. On systems without ``waitid`` nothing happens."""
        if hasattr(os, "waitid"):
            self._look()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        found = _ended_child()
        if found is not None and found == self._found:
            with suppress(ChildProcessError):
                os.waitpid(found, os.WNOHANG)
            found = _ended_child()
        self._found = found
        seconds = LOOK_SECONDS if found is None else NEXT_SECONDS
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)


def _ended_child() -> int | None:
    """Return the number of a child that has ended and was not awaited yet. It stays so."""
    with suppress(ChildProcessError):
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended.si_pid if ended is not None else None
    return None
