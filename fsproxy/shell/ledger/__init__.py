"""The ledger: the exact limits, in memory or in Redis (rules.md 5)."""

from __future__ import annotations

from fsproxy.shell.ledger.memory import Bounds, LedgerRows, LedgerUsage, MemoryLedger
from fsproxy.shell.ledger.page_clocks import PageClocks

__all__ = ["Bounds", "LedgerRows", "LedgerUsage", "MemoryLedger", "PageClocks"]
