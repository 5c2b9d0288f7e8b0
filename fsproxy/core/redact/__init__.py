"""Redaction: what is masked, removed or hashed in what goes on (rules.md 8)."""
