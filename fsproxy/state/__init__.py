"""What is remembered: the ledger's exact limits, in memory or in Redis (rules.md 5), and the caches.

Both forms of the ledger do what ``core.limits.operations`` says, and one suite of tests holds them to it.
They differ in:

- Time. Memory uses the caller's. Redis uses its own; of a caller's only distances count.
- Freshness. The Redis form does not repeat what Redis learned within a minute (sessions) or within the smaller of an
  hour and a tenth of the retention (names). A session may end, or a name be forgotten, that much early. Neither lets
  more than a limit pass.
- Order. Mark, Confirm, Release and Move are sent behind. What one process sends arrives in its order.
- Bounds. Memory evicts what was active longest ago. In Redis every key expires by itself. A server that is full counts
  as down, so let it evict nothing (``maxmemory-policy noeviction``).
- Loss. An operation whose answer did not come may have been carried out. Its reservation lapses after 60 s.
- Batches. A tick's operations are one script call for each org (of at most 128 requests), in one write for all.
"""
