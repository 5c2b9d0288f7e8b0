"""Hosts, addresses and zones, and the patterns that match them."""
