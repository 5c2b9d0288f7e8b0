"""The ledger: the exact limits, in memory or in Redis (rules.md 5).

Both forms do what ``core.limits.operations`` says, and one suite of tests holds them to it. Where they differ:

- Time. Memory takes the caller's. Redis takes its own; of a caller's only distances count.
- Freshness. The Redis form does not repeat what Redis was told within a minute (sessions) or within the smaller
  of an hour and a tenth of the retention (names): a session may end, a name be forgotten, that much early.
  Neither lets more than a limit pass.
- Order. Mark, Confirm and Release are sent behind by ``try_now``; what one process sends arrives in its order.
- Bounds. Memory evicts what was active longest ago. In Redis every key expires by itself; a server that is full
  counts as down, so let it evict nothing (``maxmemory-policy noeviction``).
- Loss. An operation whose answer did not come may have been carried out: its reservation lapses after 60 s.
- A tick's operations are one script call for each org (of at most 128 requests), in one write for all.
"""

from __future__ import annotations

from fsproxy.shell.ledger.memory import Bounds, LedgerRows, LedgerUsage, MemoryLedger
from fsproxy.shell.ledger.page_clocks import PageClocks

__all__ = ["Bounds", "LedgerRows", "LedgerUsage", "MemoryLedger", "PageClocks"]
