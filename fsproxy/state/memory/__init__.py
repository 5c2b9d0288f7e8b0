"""x the memory of one process."""
