"""The recorder's socket: its upgrade and its page frames are judged, calls in bundle frames cut (wire.md 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsproxy.shell.capture import Capture
    from fsproxy.shell.forwarding import Forwarding
    from fsproxy.shell.transaction import Transaction


class Sockets:
    """Answers upgrades on socket routes under ``socket: judge``."""

    def __init__(self, capture: Capture, forwarding: Forwarding) -> None:
        self._capture = capture
        self._forwarding = forwarding

    async def open(self, tx: Transaction) -> bool:
        """Judge the upgrade with the facts that are there, then pass frames."""
        policy = self._capture.open(tx)
        if await self._capture.blocks(tx, policy):
            return self._forwarding.block(tx)
        return await self._forwarding.tunnel(tx)
