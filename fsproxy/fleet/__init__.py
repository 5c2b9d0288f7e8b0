"""Several worker processes: who starts, replaces and stops them, and what they share."""
