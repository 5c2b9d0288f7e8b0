"""The state file and what lies beside it: for its owner alone, for one process at a time, set aside when unusable."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO

from fsproxy.clock import now as wall_clock

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_MODE = 0o600
BESIDE = ("-wal", "-shm")
"""What SQLite keeps beside a file."""


class HeldError(Exception):
    """Another process has the file open; the text is its process id."""


def lock(path: Path) -> IO[str]:
    """Return a handle that holds the lock beside the file until it is closed. Raises HeldError, OSError."""
    # The file itself cannot be locked: closing another handle of it would drop SQLite's own locks.
    handle = open(path.with_name(path.name + ".lock"), "a+", opener=_open_private)  # noqa: SIM115 - the caller closes it
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read(20).strip()
            handle.close()
            raise HeldError(holder) from None
        except OSError:
            handle.close()
            raise
    with contextlib.suppress(OSError):
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
    return handle


def keep_private(path: Path) -> bool:
    """Make the file if there is none, for its owner alone (0600), and take from others what they may do with it.

    SQLite gives what it keeps beside the file the same mode. Return False if others may still read one of them, as it
    is another user's. Raises OSError.
    """
    private = True
    os.close(_open_private(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC))
    for suffix in ("", *BESIDE, ".lock"):
        file = path.with_name(path.name + suffix)
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mode & 0o077:
                try:
                    file.chmod(_MODE)
                except PermissionError:
                    private = False
    return private


def set_aside(path: Path, fault: str, kind: str = "aside") -> str:
    """Rename a file that cannot be used; the new name has the time in it, and ``kind``. Return what happened.

    Raises OSError.
    """
    stamp = int(wall_clock())
    while (name := path.with_name(f"{path.name}.{stamp}.{kind}")).exists():
        stamp += 1
    path.rename(name)
    for suffix in BESIDE:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(name.with_name(name.name + suffix))
    return f"could not be used, as {fault}, and is kept as {name.name}: quotas and names start from nothing"


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, _MODE)
