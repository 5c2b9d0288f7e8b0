"""Decides pages again from their audit lines, under other rules."""
