"""In the place of a link to a node of a Cluster, for slots that no node serves now."""

from __future__ import annotations

import asyncio
from typing import Any

from fsproxy.core.limits.operations import LedgerDownError
from fsproxy.state.redis.connections.breaker import Breaker


class ClosedLink:
    """Every request is refused."""

    skew = None

    def __init__(self, breaker: Breaker) -> None:
        self.breaker = breaker
        self._reason = ""

    def ask(self, base: str, operations: list[Any], at: float | None) -> asyncio.Future[list[Any]]:  # noqa: ARG002
        """Raise LedgerDownError."""
        self.breaker.unavailable += 1
        raise LedgerDownError

    def hold(self, slots: int, reason: str) -> None:
        """Note how many slots no node serves, and why."""
        self.breaker.slots = slots
        if not slots:
            self.breaker.recovered()
        elif not self.breaker.is_open or reason != self._reason:
            self.breaker.failed(reason)
        self._reason = reason
