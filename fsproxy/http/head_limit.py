"""The bytes of request heads on the general lane: limited as a whole, and masked where the parser would refuse them.

The parser of aiohttp limits single lines only, so the size of a whole head is counted here. It also accepts no byte
over 127 in a target, which a proxy passes on as it came (rules.md 4). So the parser is given an ``x`` in place of each
such byte of the request line, and the real target is put back when the head is whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from fsproxy.http.aiohttp_parts import RawRequestMessage, StreamReader

Queued = tuple[RawRequestMessage | bytes, StreamReader]
"""A request; or, in its turn, the answer to something that the parser refused."""
_MASK = bytes(range(128)) + b"x" * 128
"""No method, version or separator contains a small x, so a line with bytes over 127 in those is still refused."""
MOST_EXCESS = 4
"""Of a head over the limit, so many times the limit are read. Its route and origin then shape the answer."""
END = b"\r\n\r\n"


class HeadLimit:
    """Counts and keeps the bytes of a head until it is whole. Bytes that come while a request is served are its body's.

    ``_seen`` is what has come since the last head or body ended, so the parser and this class agree where a head
    begins. Once requests are pipelined that is not known any more (``_owed`` is below 0): then nothing is kept or
    masked, and only sizes are counted.
    """

    __slots__ = ("_limit", "_measure", "_owed", "_seen", "_size")

    def __init__(self, limit: int) -> None:
        """``limit``: ``server.max_header``, in bytes."""
        self._limit = limit
        self._size = 0
        """Bytes of a head that is not whole."""
        self._measure = False
        """So much was read at once that a head may be too large; from then on each head is added up."""
        self._seen = b""
        self._owed = 0
        """Bytes of a body that are still to come before the next head begins; below 0 if that is not known."""

    @property
    def begun(self) -> bool:
        """Whether a part of a head has come, but not all of it."""
        return self._size > 0

    @property
    def seen(self) -> bytes:
        """What has come of a head that is not whole, or that the parser refused; empty if that is not known."""
        return self._seen

    @property
    def start(self) -> bytes:
        """What came of a head that is too large; empty if none is, or if it is not known where it begins."""
        seen = self._seen
        return seen if len(seen) > self._limit and not 0 <= seen.find(END) <= self._limit else b""

    def take_start(self) -> bytes:
        """Return ``start`` and forget it. What comes from now on is not looked at."""
        start, self._seen, self._owed = self.start, b"", -1
        return start

    def add_excess(self, data: bytes) -> bool:
        """Add to ``start``. Return True when the head has ended, or ``MOST_EXCESS`` times the limit has come."""
        self._seen += data
        return len(self._seen) > self._limit * MOST_EXCESS or END in self._seen[self._limit :]

    def masked(self, data: bytes, *, busy: bool) -> bytes:
        """Return the bytes to give to the parser, as many as came. ``busy``: a request is being served."""
        if busy:
            self._owed -= len(data)
            return data
        if self._owed < 0:
            return data
        before = self._seen.lstrip(b"\r\n")
        self._seen += data
        if b"\n" in before:
            return data
        # Only the rest of the request line is masked. Empty lines before it are skipped (RFC 9112 2.2).
        begin = 0 if before else len(data) - len(data.lstrip(b"\r\n"))
        end = data.find(b"\n", begin)
        line = data if end < 0 else data[:end]
        return data if line.isascii() else line.translate(_MASK) + data[len(line) :]

    def add_part(self, size: int) -> bool:
        """Count bytes of a head that is not whole. Return True when they are too many."""
        self._size += size
        return self._size > self._limit

    def complete(self, messages: Sequence[Queued], size: int) -> Sequence[Queued]:
        """Return the requests with their targets as they came. ``size``: the length of the read that completed them.

        Some of those bytes may be a body's, so they prove no head too large; they only ask for a closer look.
        """
        self._measure = self._measure or self._size + size > self._limit
        self._size = 0
        seen, self._seen = self._seen.lstrip(b"\r\n"), b""
        message, payload = messages[0]
        if not seen or isinstance(message, bytes):
            self._owed = -1
            return messages
        end = seen.find(END) + len(END)
        single = len(messages) == 1 and end >= len(END) and not message.chunked
        self._owed = end + _declared(message) - len(seen) if single else -1
        line = seen[: seen.find(b"\n")]
        if line.isascii():
            return messages
        target = line.split(b" ")[1].decode("utf-8", "surrogateescape")
        return [(message._replace(path=target), payload), *messages[1:]]

    def is_too_large(self, message: RawRequestMessage) -> bool:
        """Whether the head of a request is over the limit. It is added up only where so much was read at once."""
        if not self._measure:
            return False
        size = sum(len(name) + len(value) + 4 for name, value in message.raw_headers)
        return size + len(message.path) > self._limit


def _declared(message: RawRequestMessage) -> int:
    return next((int(value) for name, value in message.raw_headers if name.lower() == b"content-length"), 0)
