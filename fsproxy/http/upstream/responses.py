"""What a connection to the upstream calls for each part of an answer."""

from __future__ import annotations

from typing import Protocol

from fsproxy.core.failures import Failure
from fsproxy.core.wire.plain_head import AnswerHead


class ResponseReader(Protocol):
    """Sends a request, and receives its answer, whole or part by part.

    Every exchange ends with exactly one call of on_whole, on_end, on_broken or on_upgrade.
    """

    def on_whole(self, head: AnswerHead, body: bytes) -> None:
        """Receive an answer that came whole, all at once. No other call follows."""

    def on_head(self, head: AnswerHead) -> None:
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

    def on_writable(self) -> None:
        """Know that the socket takes more of the request."""

    def expire(self) -> None:
        """End the exchange, because the connection's time for it is over."""
