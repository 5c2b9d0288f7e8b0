"""Judges live traffic with a second configuration beside the one in force, and changes nothing."""
