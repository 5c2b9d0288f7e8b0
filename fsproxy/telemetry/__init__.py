"""Metrics, recent decisions, audit lines and logs."""
