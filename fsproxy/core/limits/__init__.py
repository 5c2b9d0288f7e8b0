"""The limits: what the ledger must be asked, and what its answers mean. The counting itself is the ledger's."""
