"""Validation of one call: whether it is valid, and what is wrong with it (rules.md 2)."""
