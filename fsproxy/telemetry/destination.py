"""Where lines are written to: a descriptor of the process, or a file that log rotation moves away."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where there is one worker
    fcntl = None  # type: ignore[assignment]

STALL_SECONDS = 1.0
"""How long a write to a non-blocking descriptor waits before its lines are given up."""


class Destination:
    """Where lines go: a descriptor of the process, or a file that can be opened again (log rotation)."""

    def __init__(self, to: str | int, *, stall_seconds: float = STALL_SECONDS) -> None:
        """``stdout``, ``stderr``, a path, or an open descriptor. Raises OSError when a file cannot be opened."""
        self._path = to if isinstance(to, str) and to not in _STANDARD else None
        self._fd = _opened(self._path) if self._path is not None else _STANDARD[to] if isinstance(to, str) else to
        self._torn = False
        self._stall = stall_seconds
        self.shared = False
        """Other processes write there too. A pipe takes no more than 4 KB (PIPE_BUF) in one piece: they take turns."""

    def reopen(self) -> None:
        """Open the path again; the old file stays in use when that fails."""
        if self._path is None:
            return
        old, self._fd = self._fd, _opened(self._path)
        self._torn = False
        os.close(old)

    def write(self, lines: bytes) -> int:
        """Write whole lines; returns how many of them were lost. Never raises."""
        if not self.shared:
            return self._write(lines)
        with _turn(self._fd):
            return self._write(lines)

    def _write(self, lines: bytes) -> int:
        data = memoryview(b"\n" + lines if self._torn else lines)
        done = 0
        try:
            while done < len(data):
                try:
                    done += os.write(self._fd, data[done:])
                except BlockingIOError:
                    if not select.select([], [self._fd], [], self._stall)[1]:
                        break
        except (OSError, ValueError):
            pass  # disk full, reader gone, descriptor closed: counted, and tried again with the next lines
        if done:
            # A line that was cut is ended before the next one is written.
            self._torn = data[done - 1] != _NEWLINE
        return bytes(data[done:]).count(b"\n") if done or not self._torn else lines.count(b"\n")

    def close(self) -> None:
        """Close what was opened here."""
        if self._path is not None:
            with suppress(OSError):
                os.close(self._fd)


_NEWLINE = ord("\n")
_MODE = 0o640
"""Of a new file: the owner writes, the group reads (a log shipper). An existing file keeps its mode, as logrotate's
``create`` chose it."""
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_LINK = "is a symbolic link, which is not followed: name the file itself (for /dev/stdout write stdout)"
_STANDARD = {"stdout": 1, "stderr": 2}


@contextmanager
def _turn(fd: int) -> Iterator[None]:
    """A lock on what is written to: of the process, unlike flock's, as the descriptor may be inherited by all.

    The kernel lets go of it when the process ends. What cannot be locked is written to without.
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


def link_problem(to: str) -> str | None:
    """Return why this is no destination if it is a link; None for ``stdout``, ``stderr`` and all other paths."""
    return _LINK if to not in _STANDARD and Path(to).is_symlink() else None


def _opened(path: str) -> int:
    # A link that somebody else put there could lead to any file that this program may write to. Links above it, such
    # as /var/log/NAME of systemd's DynamicUser, stand in folders that are not others' to write to.
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | _NO_LINK, _MODE)
    except OSError as error:
        fault = link_problem(path)
        if fault is None:
            raise
        raise OSError(error.errno, fault, path) from None
