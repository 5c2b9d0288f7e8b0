"""The ledger: the exact limits, in memory or in Redis (rules.md 5)."""

from __future__ import annotations

from fsproxy.shell.ledger.memory import Bounds, LedgerUsage, MemoryLedger

__all__ = ["Bounds", "LedgerUsage", "MemoryLedger"]
