"""The destination of lines: a descriptor of the process, or a file that log rotation may move away."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fsproxy.config.files import folder_fault
from fsproxy.config.problems import HostError

try:
    import fcntl
except ImportError:  # Windows, where there is one worker
    fcntl = None  # type: ignore[assignment]

STALL_SECONDS = 1.0
"""A write to a non-blocking descriptor waits so long before its lines are given up."""
LOOK_SECONDS = 1.0
"""It takes at most so long until it is noticed that a file was moved away or deleted."""


class Destination:
    """Writes lines to a descriptor of the process, or to a file that can be opened again."""

    def __init__(self, to: str | int, *, stall_seconds: float = STALL_SECONDS) -> None:
        """Open ``stdout``, ``stderr``, a path, or an open descriptor. Raise OSError if a file cannot be opened."""
        self._path = to if isinstance(to, str) and to not in _STANDARD else None
        self._fd = _opened(self._path) if self._path is not None else _STANDARD[to] if isinstance(to, str) else to
        self._file = _identity(self._fd) if self._path is not None else None
        """Which file is open; None for what log rotation does not move, such as a descriptor or a device."""
        self._looked = float("-inf")
        self._torn = False
        self._stall = stall_seconds
        self.fault = ""
        """Why the last write lost lines, in the system's words or ours; "" when it lost none."""
        self.reopen_fault = ""
        """Why the path could not be opened again the last time; "" when it could."""
        self.shared = False
        """Other processes write there as well. A pipe takes only 4 KB (PIPE_BUF) in one piece, so they take turns."""
        self.render: Callable[[bytes], bytes] | None = None
        """Makes other lines of the given ones, as many as they are, for a terminal."""

    @property
    def may_move(self) -> bool:
        """Return whether this is a regular file, which may be moved away or deleted."""
        return self._file is not None

    def follow(self, now: float) -> None:
        """Open the path again when it no longer leads to the open file. Look at most every ``LOOK_SECONDS``."""
        if self._path is None or self._file is None or now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        try:
            found = Path(self._path).stat()
        except OSError:
            self.reopen()
            return
        if (found.st_dev, found.st_ino) == self._file:
            self.reopen_fault = ""
        else:
            self.reopen()

    def reopen(self) -> None:
        """Open the path again. If that fails, keep the old file in use, and note it."""
        if self._path is None:
            return
        try:
            opened = _opened(self._path)
        except OSError as error:
            self.reopen_fault = (error.strerror or "unknown").lower()
            return
        self.reopen_fault = ""
        old, self._fd = self._fd, opened
        self._file = _identity(opened)
        self._torn = False
        os.close(old)

    def write(self, lines: bytes) -> int:
        """Write whole lines. Return how many of them were lost. Never raise."""
        if self.render is not None:
            lines = self.render(lines)
        if not self.shared:
            return self._write(lines)
        with _turn(self._fd):
            return self._write(lines)

    def _write(self, lines: bytes) -> int:
        data = memoryview(b"\n" + lines if self._torn else lines)
        done, fault = 0, ""
        try:
            while done < len(data):
                try:
                    done += os.write(self._fd, data[done:])
                except BlockingIOError:
                    if not select.select([], [self._fd], [], self._stall)[1]:
                        fault = "its reader does not read"
                        break
        except (OSError, ValueError) as error:
            # Disk full, reader gone, descriptor closed: the loss is counted, and the next lines are tried.
            fault = ((error.strerror if isinstance(error, OSError) else None) or "it is closed").lower()
        self.fault = fault
        if done:
            # The next write ends an incomplete line first.
            self._torn = data[done - 1] != _NEWLINE
        return bytes(data[done:]).count(b"\n") if done or not self._torn else lines.count(b"\n")

    def close(self) -> None:
        """Close the file, if one was opened here."""
        if self._path is not None:
            with suppress(OSError):
                os.close(self._fd)


_NEWLINE = ord("\n")
_MODE = 0o640
"""The mode of a new file: the owner writes, the group (a log shipper) reads. An existing file keeps its mode, which
logrotate's ``create`` may have set."""
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_LINK = "is a symbolic link, which is not followed: name the file itself (for /dev/stdout write stdout)"
_STANDARD = {"stdout": 1, "stderr": 2}
ALLOWED = "stdout, stderr, or a file in a folder that is there"
"""What ``audit.to`` may be."""


@contextmanager
def _turn(fd: int) -> Iterator[None]:
    """Lock the destination while one process writes to it.

    lockf locks belong to a process. flock's belong to a descriptor, which all workers may have inherited. The kernel
    releases the lock when the process ends. A destination that cannot be locked is written to without a lock.
    """
    locked = False
    with suppress(OSError):
        fcntl.lockf(fd, fcntl.LOCK_EX)
        locked = True
    try:
        yield
    finally:
        if locked:
            with suppress(OSError):
                fcntl.lockf(fd, fcntl.LOCK_UN)


def require_usable(to: str) -> None:
    """Raise HostError for a path that could not be opened. No file is made."""
    fault = None if to in _STANDARD else _fault(to)
    if fault is not None:
        raise HostError("audit.to", fault, ALLOWED)


def _fault(path: str) -> str | None:
    if Path(path).is_symlink():
        return _LINK
    if Path(path).is_dir():
        return "is a folder"
    if Path(path).exists():
        return None if os.access(path, os.W_OK) else "may not be written to by this user"
    return folder_fault(path)


def _identity(fd: int) -> tuple[int, int] | None:
    found = os.fstat(fd)
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _opened(path: str) -> int:
    # A link that somebody else created could lead to any file that this program may write to. Links in the folders
    # above, such as /var/log/NAME of systemd's DynamicUser, are safe: others cannot write to these folders.
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | _NO_LINK, _MODE)
    except OSError as error:
        raise OSError(error.errno, _fault(path) or error.strerror, path) from None
