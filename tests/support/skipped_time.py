"""An event loop's time that a test moves on: what takes half a minute is over at once."""

from __future__ import annotations

import asyncio
from typing import Any


class SkippedTime:
    """Moves the time of a loop of asyncio's own on, for everything that asks the loop; make it before all else.

    What waits in the test itself must not have a deadline at that moment.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        usual = loop.time
        self._ahead = 0.0
        patched: Any = loop
        patched.time = lambda: usual() + self._ahead

    def skip(self, seconds: float) -> None:
        """Let so much time pass at once."""
        self._ahead += seconds
