"""JSON, read and cut without changing a byte that is kept."""
