"""Reads and writes what recorders and upstreams send: heads, queries, pages, answers, frames."""
