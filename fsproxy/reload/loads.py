"""When the last generations came into force, for the page's chart."""

from __future__ import annotations

from collections import deque

MOST_LOADS = 20
"""Loads that are remembered."""


class Loads:
    """Remembers times and numbers of generations. The first one is that of the start."""

    def __init__(self, newest: float) -> None:
        self.newest = newest
        """When the generation in force was loaded (Unix time)."""
        self._loads: deque[tuple[float, int]] = deque(maxlen=MOST_LOADS)

    def add(self, at: float, number: int, before: int) -> None:
        """Note that a generation came into force at this time, in the place of the one with the number ``before``."""
        if not self._loads:
            self._loads.append((self.newest, before))
        self._loads.append((at, number))
        self.newest = at

    def listed(self, present: int) -> list[dict[str, float]]:
        """Return all, the oldest first. ``present`` is the number of the generation in force."""
        loads = self._loads or ((self.newest, present),)
        return [{"at": at, "generation": number} for at, number in loads]
