"""The parts of an upstream's answer, and what receives them."""

from __future__ import annotations

from typing import Protocol, Self

from fsproxy.core.failures import Failure
from fsproxy.core.wire.plain_head import PlainAnswer


class ResponseHead:
    """The status line and the headers of an answer, as they came."""

    __slots__ = ("chunked", "headers", "length", "plain", "reason", "status")

    def __init__(self) -> None:
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.length: int | None = None
        self.chunked = False
        self.plain: PlainAnswer | None = None
        """The same, if the fast lane has read it."""

    @classmethod
    def of(cls, plain: PlainAnswer, length: int) -> Self:
        """Return the head of a plain answer. ``length``: bytes of its body."""
        head = cls()
        head.status, head.reason, head.length, head.plain = plain.status, plain.reason, length, plain
        head.headers = plain.lines()
        return head

    def read_framing(self) -> bool:
        """Read from the headers how the body is delimited. Return False for a way that cannot be passed on."""
        for name, value in self.headers:
            lower = name.lower()
            if lower == b"content-length":
                self.length = int(value)
            elif lower == b"transfer-encoding":
                if self.chunked or value.lower() != b"chunked":
                    # Another coding was not asked for, and would go on without its name, which is for one hop only.
                    # Chunked twice is not allowed (RFC 9112 6.1) and may hide chunks within chunks.
                    return False
                self.chunked = True
        return True


class ResponseSink(Protocol):
    """Receives an answer part by part. Every exchange ends with exactly one of on_end, on_broken and on_upgrade."""

    def on_head(self, head: ResponseHead) -> None:
        """Receive the final status line and all headers, unchanged."""

    def on_body(self, data: bytes) -> None:
        """Receive bytes of the body, without any framing."""

    def on_end(self) -> None:
        """Know that the answer is complete."""

    def on_upgrade(self, rest: bytes) -> None:
        """Take over the connection as a tunnel after a 101, whose head went to on_head. ``rest`` came behind it."""

    def on_broken(self, failure: Failure) -> None:
        """Know that there is no answer, or no whole one."""

    def on_progress(self) -> None:
        """Know that everything that one read from the socket brought was handed over, so that it can be written."""


class ResponseReader(ResponseSink, Protocol):
    """A sink that also sends the request, and so must know when there is room for more of it."""

    def on_writable(self) -> None:
        """Know that the socket takes more."""
