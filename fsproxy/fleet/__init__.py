"""Several worker processes on one port: the supervisor, the workers, the channel between them, and the take-over."""
