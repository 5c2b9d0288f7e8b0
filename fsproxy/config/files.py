"""The files that a configuration is made of: what was read, and what it hashed to."""

from __future__ import annotations

import hashlib
from pathlib import Path

Lines = tuple[tuple[int, str], ...]
"""Line number, counted from 1, and the line without its surrounding blanks."""


class UnreadableError(Exception):
    """A file that cannot be read; its text is the fault, such as ``is not there``."""

    def __init__(self, fault: str, line: int = 1) -> None:
        super().__init__(fault)
        self.line = line


class Files:
    """Reads each file once, and remembers it for the watcher.

    ``base`` is the folder that relative paths of lists start from: the configuration's own.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.hashes: dict[str, str] = {}
        """Absolute path -> sha256, in the order of reading."""
        self.asked: dict[str, None] = {}
        """Absolute paths of all files that were asked for, those that could not be read included."""
        self._lists: dict[str, Lines] = {}

    def text(self, path: Path) -> str:
        """The whole file, which must be UTF-8. Raises UnreadableError."""
        self.asked[str(path.absolute())] = None
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raise UnreadableError("is not there") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise UnreadableError(f"cannot be read: {reason or type(error).__name__}") from None
        self.hashes[str(path.absolute())] = hashlib.sha256(raw).hexdigest()
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise UnreadableError(f"is not UTF-8 in line {line}", line) from None

    def lines(self, name: str) -> Lines:
        """The lines of a list; blank ones and those that start with ``#`` are left out. Raises UnreadableError."""
        found = self._lists.get(name)
        if found is None:
            numbered = enumerate(self.text(self.base / name).split("\n"), start=1)
            stripped = ((number, line.strip()) for number, line in numbered)
            found = tuple((number, line) for number, line in stripped if line and line[0] != "#")
            self._lists[name] = found
        return found
