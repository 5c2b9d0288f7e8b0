"""fsproxy: a reverse proxy in front of a session-capture backend that blocks, validates and explains."""

__version__ = "0.1.0"
