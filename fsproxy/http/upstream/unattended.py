"""The exchanges that go on although their client has left, and how many of them one pool of connections carries."""

from __future__ import annotations

from typing import Protocol

from fsproxy.core.failures import Failure

SHARE = 4
"""One in so many of a pool's connections may be held for clients that have left (rules.md 4), and always one."""


class Abandoned(Protocol):
    """An exchange whose client has left."""

    def abort(self, failure: Failure) -> None:
        """End the exchange, and call ``Unattended.discard``."""


class Unattended:
    """Limits these exchanges to a quarter of a pool, so that no client can occupy the pool by sending and leaving.

    Bundles come first: if there is no room, a bundle takes the place of the oldest exchange of another kind.
    """

    __slots__ = ("_bundles", "_limit", "_others")

    def __init__(self, connections: int) -> None:
        """Count for a pool that may open so many ``connections``."""
        self._limit = max(1, connections // SHARE)
        self._bundles: set[Abandoned] = set()
        self._others: dict[Abandoned, None] = {}  # in the order in which their clients left

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._bundles) + len(self._others)

    def admit(self, exchange: Abandoned, *, bundle: bool) -> bool:
        """Add an exchange. Return False if there is no room for it."""
        if len(self) >= self._limit:
            if not bundle or not self._others:
                return False
            next(iter(self._others)).abort(Failure.CLIENT_GONE)
        if bundle:
            self._bundles.add(exchange)
        else:
            self._others[exchange] = None
        return True

    def discard(self, exchange: Abandoned) -> None:
        """Remove an exchange that has ended. Do nothing if it was never added."""
        self._bundles.discard(exchange)
        self._others.pop(exchange, None)
