"""The requests that are under way, and waiting for the last of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsproxy.proxy.flow import Flow
    from fsproxy.telemetry.metrics import Metrics


class InFlight:
    """Holds each flow from its head to its record."""

    def __init__(self, metrics: Metrics) -> None:
        self._flows: set[Flow] = set()
        metrics.gauges["unattended_exchanges"] = (
            "Requests on their way to the upstream though their client has left.",
            lambda: sum(flow.writer is not None and flow.writer.is_unattended for flow in self._flows),
        )
        self.last_ended: asyncio.Future[None] | None = None
        """Set while ``finish`` waits; then ``note_end`` is to be called after each ``discard``."""
        self.add = self._flows.add
        self.discard = self._flows.discard

    def __iter__(self) -> Iterator[Flow]:
        return iter(tuple(self._flows))

    def note_end(self) -> None:
        """Note that a flow has ended while ``finish`` waits."""
        if self.last_ended is not None and not self._flows and not self.last_ended.done():
            self.last_ended.set_result(None)

    async def finish(self, seconds: float) -> bool:
        """Wait until no flow is left; return False if the time ran out."""
        if not self._flows:
            return True
        self.last_ended = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await self.last_ended
        except TimeoutError:
            return False
        return True
