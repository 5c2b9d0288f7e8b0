"""The bytes of request heads on the general lane: bounded as a whole, and with nothing in them that the parser refuses.

The parser of aiohttp bounds single lines, and it takes no byte over 127 in a target, which a proxy passes on as it
came (rules.md 4). So it is shown another byte in the place of each, and the target is put back afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

    Queued = tuple[RawRequestMessage | bytes, StreamReader]
    """A request, or the answer to what the parser refused, in its turn."""

_SHOWN = bytes(range(128)) + b"x" * 128
"""No method, version or separator has a small x in it, so that a line with bytes over 127 there is still refused."""


MOST_EXCESS = 4
"""Of a head over the limit so many times the limit are read: its route and its origin make an answer that fits it."""


class HeadBytes:
    """Counts and keeps the bytes of a head until it is whole. Bytes that come while a request is served are its body's.

    Where requests are pipelined it is not known where a head begins: then only sizes are counted.
    """

    __slots__ = ("_limit", "_measure", "_owed", "_seen", "_size")

    def __init__(self, limit: int) -> None:
        """``limit``: ``server.max_header``, in bytes."""
        self._limit = limit
        self._size = 0
        self._measure = False
        self._seen = b""
        self._owed = 0
        """Bytes of a body that are still to come before the next head begins; below 0 that is not known."""

    @property
    def begun(self) -> bool:
        """Some of a head has come, and not yet all."""
        return self._size > 0

    @property
    def start(self) -> bytes:
        """What came of a head that is larger than the limit; empty where it is not known, or not too large."""
        seen = self._seen
        return seen if len(seen) > self._limit and not 0 <= seen.find(b"\r\n\r\n") <= self._limit else b""

    def take_start(self) -> bytes:
        """Return ``start`` and forget it; what comes now is not looked at."""
        start, self._seen, self._owed = self.start, b"", -1
        return start

    def came_in_excess(self, data: bytes) -> bool:
        """Add to ``start``; True once all was read that is: its end came, or ``MOST_EXCESS`` times the limit."""
        self._seen += data
        return len(self._seen) > self._limit * MOST_EXCESS or b"\r\n\r\n" in self._seen[self._limit :]

    def shown(self, data: bytes, *, busy: bool) -> bytes:
        """The bytes for the parser, as many as came. ``busy``: a request is being served."""
        if busy:
            self._owed -= len(data)
            return data
        if self._owed < 0:
            return data
        before = self._seen.lstrip(b"\r\n")
        self._seen += data
        if b"\n" in before:
            return data
        # Empty lines before a request are skipped (RFC 9112 2.2).
        begin = 0 if before else len(data) - len(data.lstrip(b"\r\n"))
        end = data.find(b"\n", begin)
        line = data if end < 0 else data[:end]
        return data if line.isascii() else line.translate(_SHOWN) + data[len(line) :]

    def came_in_part(self, size: int) -> bool:
        """Count bytes of a head that is not complete; True when they are too many."""
        self._size += size
        return self._size > self._limit

    def came_whole(self, messages: Sequence[Queued], size: int) -> Sequence[Queued]:
        """Return the requests with their targets as they came. Of the ``size`` last bytes some may be a body's."""
        self._measure = self._measure or self._size + size > self._limit
        self._size = 0
        seen, self._seen = self._seen.lstrip(b"\r\n"), b""
        message, payload = messages[0]
        if not seen or isinstance(message, bytes):
            self._owed = -1
            return messages
        end = seen.find(b"\r\n\r\n") + 4
        single = len(messages) == 1 and end > 3 and not message.chunked
        self._owed = end + _declared(message) - len(seen) if single else -1
        line = seen[: seen.find(b"\n")]
        if line.isascii():
            return messages
        target = line.split(b" ")[1].decode("utf-8", "surrogateescape")
        return [(message._replace(path=target), payload), *messages[1:]]

    def is_too_large(self, message: RawRequestMessage) -> bool:
        """Added up only where so much was ever read at once."""
        if not self._measure:
            return False
        size = sum(len(name) + len(value) + 4 for name, value in message.raw_headers)
        return size + len(message.path) > self._limit


def _declared(message: RawRequestMessage) -> int:
    return next((int(value) for name, value in message.raw_headers if name.lower() == b"content-length"), 0)
