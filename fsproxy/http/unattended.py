"""Exchanges that go on although their client has left, and how many of them one pool of connections carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsproxy.core.failures import Failure

if TYPE_CHECKING:
    from fsproxy.http.upstream_exchange import UpstreamExchange

SHARE = 4
"""One in so many of a pool's connections may be held for clients that have left (rules.md 4), and always one."""


class Unattended:
    """At most a quarter of a pool's exchanges, so that sending and leaving is no way to take the pool.

    Bundle routes come first: where there is no room, one of them takes the place of the oldest of the others.
    """

    __slots__ = ("_bundles", "_limit", "_others")

    def __init__(self, connections: int) -> None:
        """``connections``: the most that the pool opens."""
        self._limit = max(1, connections // SHARE)
        self._bundles: set[UpstreamExchange] = set()
        self._others: dict[UpstreamExchange, None] = {}  # in the order in which their clients left

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._bundles) + len(self._others)

    def admit(self, exchange: UpstreamExchange, *, bundle: bool) -> bool:
        """Count one more; False when there is no room for it."""
        if len(self) >= self._limit:
            if not bundle or not self._others:
                return False
            next(iter(self._others)).abort(Failure.CLIENT_GONE)
        if bundle:
            self._bundles.add(exchange)
        else:
            self._others[exchange] = None
        return True

    def discard(self, exchange: UpstreamExchange) -> None:
        """The exchange has ended; fine if it was not counted."""
        self._bundles.discard(exchange)
        self._others.pop(exchange, None)
