"""fsproxy: a reverse proxy in front of a session-capture backend that blocks, validates and explains."""

from importlib.metadata import version

__version__ = version("fsproxy")
