"""Tells audit lines in words, by the rules in force, in a thread beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fsproxy.core.policy import Snapshot
from fsproxy.core.replay.story import Rules

NAME = "the configuration"
KEPT_SECONDS = 30.0
"""How long what was looked up is kept for the next question: 100,000 networks take 50 ms to look at for the first time,
and a generation that was replaced must be freed."""
MOST_REMEMBERED = 20_000
"""Parts of pages, of which each takes some 500 bytes."""
T = TypeVar("T")


class Stories:
    """The rules by which lines are put into words. Used on the event loop."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        """``snapshot`` returns the policies in force."""
        self._snapshot = snapshot
        self._rules: Rules | None = None
        self._lock = asyncio.Lock()
        self._drop: asyncio.TimerHandle | None = None

    async def tell(self, tell: Callable[[Rules], T]) -> T:
        """Return what ``tell`` returns, which runs in a thread, one at a time."""
        async with self._lock:
            rules, snapshot = self._rules, self._snapshot()
            if rules is None or rules.snapshot is not snapshot or rules.remembered > MOST_REMEMBERED:
                rules = self._rules = Rules(NAME, snapshot)
            if self._drop is not None:
                self._drop.cancel()
            self._drop = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._forget)
            return await asyncio.to_thread(tell, rules)

    def _forget(self) -> None:
        self._rules = None
