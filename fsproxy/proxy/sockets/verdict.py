"""What a judged socket asks of whoever judges its messages, and what it is told."""

from __future__ import annotations

from enum import Enum, auto, unique
from typing import Protocol

import msgspec


@unique
class Ending(Enum):
    """Whether the socket is closed after an answer of ours."""

    NOT = auto()
    SOON = auto()
    """Unless another message comes within the tunnel's grace."""
    NOW = auto()


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What is to become of a client's message."""

    instead: bytes | None = None
    """The text to forward in its place."""
    answer: bytes | None = None
    """The text that the client gets; nothing is forwarded."""
    ending: Ending = Ending.NOT


FORWARD = Verdict()
"""As it came."""


class Judge(Protocol):
    """Who decides. One for each tunnel."""

    @property
    def waiting(self) -> bool:
        """A frame that went up has no answer yet: messages that begin now on their way down are observed."""

    async def judge(self, text: bytes) -> Verdict:
        """Judge a whole message of the client. There is an upstream for what is forwarded. Never raise."""

    def too_large(self, start: bytes, end: bytes) -> Verdict:
        """Answer a message that was too large to be kept, by its first and last bytes."""

    def unlawful(self) -> None:
        """Note that the client broke the protocol: its socket is closed."""

    def observe(self, text: bytes) -> None:
        """Look at a whole text message of the upstream; it passes anyway."""

    def given_up(self) -> list[bytes]:
        """Return the answers to all frames that still wait for one; they wait no longer."""

    def survived(self, error: Exception) -> None:
        """Count a fault of ours that costs nothing."""

    def broken(self, error: Exception) -> None:
        """Count a fault of ours that leaves nothing to go on with: the socket is closed."""
