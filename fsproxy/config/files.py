"""Reads the files of a configuration, and remembers their hashes."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

FILE = "file:"
_COMMENT = (re.compile(r"\s+#"), re.compile(r"\s+#(?=\s|$)"))
Lines = tuple[tuple[int, str], ...]
"""Line number, counted from 1, and the line without its surrounding blanks."""


MOST_BYTES = 16 * 1024 * 1024
"""The most that a configuration file may hold."""
MOST_LIST_BYTES = 64 * 1024 * 1024
MOST_LINES = 1_000_000
"""The most lines of one list, with blank ones and comments."""
PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN, errno.EIO})
"""Errors that say nothing about the file, which may well be unchanged."""


class UnreadableError(Exception):
    """Raised for a file that cannot be read. Its text is the fault, such as ``is not there``."""

    def __init__(self, fault: str, line: int = 1) -> None:
        super().__init__(fault)
        self.line = line


class Files:
    """Reads each file once, and remembers it for the watcher.

    ``base`` is the folder of the configuration, from which the relative paths of lists start.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.hashes: dict[str, str] = {}
        """Absolute path -> sha256, in the order of reading."""
        self.asked: dict[str, None] = {}
        """Absolute paths of all files that were asked for, with those that could not be read."""
        self.passing = False
        """A file could not be read for a reason that will pass, such as a lack of descriptors."""
        self._lists: dict[str, Lines] = {}

    def text(self, path: Path, most: int = MOST_BYTES) -> str:
        """Return the whole file, which must be UTF-8 and hold at most ``most`` bytes. Raises UnreadableError."""
        self.asked[str(path.absolute())] = None
        try:
            raw = read_at_most(path, most)
        except FileNotFoundError:
            raise UnreadableError("is not there") from None
        except (OSError, ValueError) as error:
            self.passing |= isinstance(error, OSError) and error.errno in PASSING
            reason = error.strerror if isinstance(error, OSError) else None
            raise UnreadableError(f"cannot be read: {reason or type(error).__name__}") from None
        self.hashes[str(path.absolute())] = hashlib.sha256(raw).hexdigest()
        return decoded(raw, most)

    def lines(self, name: str) -> Lines:
        """Return the lines of a list without blank ones and comments (``#``). Raises UnreadableError."""
        found = self._lists.get(name)
        if found is None:
            text = self.text(self.base / name, MOST_LIST_BYTES)
            if text.count("\n") > MOST_LINES:
                raise UnreadableError(f"holds more than {MOST_LINES:,} lines")
            numbered = enumerate(text.split("\n"), start=1)
            stripped = ((number, line.strip()) for number, line in numbered)
            found = tuple((number, line) for number, line in stripped if line and line[0] != "#")
            self._lists[name] = found
        return found


class SentFiles(Files):
    """Lists that came with the configuration, by the names that it gives them. Nothing is read from the disk."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__(Path())
        self._texts = {str(Path(name)): text for name, text in texts.items()}

    def text(self, path: Path, most: int = MOST_BYTES) -> str:
        """Return the text that was sent under this name. Raises UnreadableError."""
        text = self._texts.get(str(path))
        if text is None:
            raise UnreadableError("was not sent with the configuration")
        return decoded(text.encode("utf-8", "surrogatepass"), most)


def list_name(text: str) -> str | None:
    """Return the file that an entry names; None when it names none. ``file://`` is an origin."""
    return text.removeprefix(FILE) if text.startswith(FILE) and text != "file://" else None


def without_comment(line: str, *, blanks: bool) -> str:
    """Return an entry without the comment behind it: a blank, ``#``, and its text.

    Where entries may hold ``blanks``, such as ``Customer #12``, a comment also needs a blank after its ``#``.
    """
    return _COMMENT[blanks].split(line, maxsplit=1)[0] if "#" in line else line


def decoded(raw: bytes, most: int = MOST_BYTES) -> str:
    """Return the text of at most ``most`` bytes in UTF-8. Raises UnreadableError."""
    if len(raw) > most:
        raise UnreadableError(f"holds more than {most // 2**20} MB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"is not UTF-8 in line {line}", line) from None


def read_at_most(path: Path, most: int) -> bytes:
    """Return the file's bytes, or one more than ``most`` of them. Never waits for a writer to come. Raises OSError."""
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            os.set_blocking(file.fileno(), True)
        return file.read(most + 1)


def folder_fault(path: str) -> str | None:
    """Return why no file can be made in the folder of this path; None if one can."""
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        return "is in a folder that is not there"
    return None if os.access(folder, os.W_OK | os.X_OK) else "is in a folder that this user may not write to"


def _without_waiting(path: str, flags: int) -> int:
    # Opening a named pipe waits for a writer, perhaps for ever, which would block the thread that reloads.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
