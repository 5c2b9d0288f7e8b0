"""Bytes: connections of clients and to the upstream, heads, bodies, tunnels."""
