"""State in the memory of one process."""
