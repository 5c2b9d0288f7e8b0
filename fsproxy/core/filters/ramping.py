"""Reason 8: only a share of new sessions is captured (written next)."""
