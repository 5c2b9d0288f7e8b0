"""Which audit lines of blocked requests are not written, where ``audit.share.blocked`` says: not all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsproxy.core.audit.record import is_sampled

if TYPE_CHECKING:
    from fsproxy.core.model import Instant
    from fsproxy.proxy.flow import Flow

MOST_RULES = 100_000
"""Rules whose first hit of a minute is remembered: those of the configuration, and those of blocks kept in Redis."""


class BlockedLines:
    """Leaves out all but a share of them, and never the first of a rule in a minute, so that no rule is silent."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._minute = 0
        self._hit: set[str] = set()

    def leaves_out(self, flow: Flow, at: Instant) -> bool:
        """Return whether the request was blocked, and its line is not written. Failed ones have theirs."""
        block = flow.decision.block
        if block is None or flow.failure is not None:
            return False
        minute, rule = int(at // 60), block.rule.id
        if minute != self._minute:
            self._minute = minute
            self._hit.clear()
        if rule not in self._hit and len(self._hit) < MOST_RULES:
            self._hit.add(rule)
            return False
        return not is_sampled(self._share, flow.request_id)
