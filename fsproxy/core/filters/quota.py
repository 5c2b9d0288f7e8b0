"""Reason 3: the org used up its sessions of the billing cycle. Only the ledger knows; this says what to ask."""
