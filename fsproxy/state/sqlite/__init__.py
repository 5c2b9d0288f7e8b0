"""The file in which the memory form survives a restart."""
