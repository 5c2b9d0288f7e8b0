"""The limits: what the ledger is asked, and what its answers mean. The ledger itself counts."""
