"""Checks the status lines of an upstream's answer more strictly than the general parser does (rules.md 4)."""

from __future__ import annotations

import re

# llhttp also takes RTSP/1.0 and HTTP/0.9 and 2.0, any status from 000 to 999, and any byte but CR and LF in the reason.
_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?\r\n")
_EMPTY = frozenset({b"\r\n", b"\n"})


class StatusLines:
    """Reads the status lines of an answer: those of informational answers, then the final one.

    ``status`` is 0 until a status line has been read, and then that line's status until ``again`` is called.
    """

    __slots__ = ("_line", "status")

    def __init__(self) -> None:
        self._line = bytearray()
        self.status = 0

    @property
    def is_final(self) -> bool:
        """Whether the status line belongs to the final head of this answer; a 101 is final, as it ends HTTP there."""
        return self.status >= 200 or self.status == 101

    def again(self) -> None:
        """Expect a status line next."""
        self.status = 0
        self._line.clear()

    def take(self, piece: bytes) -> bool:
        """Take the bytes up to the end of a line, or fewer. Return False if they complete a line that is not allowed.

        Empty lines before a status line are skipped, as the general parser does.
        """
        self._line += piece
        if not piece.endswith(b"\n"):
            return True
        found = _LINE.fullmatch(self._line)
        if found is None and bytes(self._line) not in _EMPTY:
            return False
        if found is not None:
            self.status = int(found[1])
        self._line.clear()
        return True
