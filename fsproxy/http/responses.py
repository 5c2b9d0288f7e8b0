"""An upstream's answer in parts, and who they are handed to."""

from __future__ import annotations

from typing import Protocol, Self

from fsproxy.core.failures import Failure
from fsproxy.core.wire.plain_head import PlainAnswer


class ResponseHead:
    """Status line and headers of an answer, as they came."""

    __slots__ = ("chunked", "headers", "length", "plain", "reason", "status")

    def __init__(self) -> None:
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.length: int | None = None
        self.chunked = False
        self.plain: PlainAnswer | None = None
        """The same, as the fast lane read it."""

    @classmethod
    def of(cls, plain: PlainAnswer, length: int) -> Self:
        """A plain one, and the size of its body."""
        head = cls()
        head.status, head.reason, head.length, head.plain = plain.status, plain.reason, length, plain
        head.headers = plain.lines()
        return head

    def read_framing(self) -> bool:
        """Read from the headers how the body is delimited; False for a way that cannot be passed on."""
        for name, value in self.headers:
            lower = name.lower()
            if lower == b"content-length":
                self.length = int(value)
            elif lower == b"transfer-encoding":
                if self.chunked or value.lower() != b"chunked":
                    # Any other coding is for one hop, was not asked for, and would be passed on without its name.
                    # Chunked twice is none (RFC 9112 6.1), and may hide chunks within chunks.
                    return False
                self.chunked = True
        return True


class ResponseSink(Protocol):
    """Where an answer goes, part by part. Every exchange ends with exactly one of on_end, on_broken and on_upgrade."""

    def on_head(self, head: ResponseHead) -> None:
        """A final status line and all headers; nothing of them was changed."""

    def on_body(self, data: bytes) -> None:
        """Some bytes of the body, without any framing."""

    def on_end(self) -> None:
        """The answer is complete."""

    def on_upgrade(self, rest: bytes) -> None:
        """After a 101 (its head went to on_head): the connection is a tunnel now; ``rest`` came with the head."""

    def on_broken(self, failure: Failure) -> None:
        """No answer, or no whole one."""

    def on_progress(self) -> None:
        """All that one read from the socket brought has been handed over: a good moment to write it out."""


class ResponseReader(ResponseSink, Protocol):
    """A connection's own sink, which is also told when there is room for more of the request."""

    def on_writable(self) -> None:
        """The socket takes more."""
