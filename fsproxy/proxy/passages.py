"""Finds requests that come back to the instance that sent them (``CDN-Loop``, RFC 8586; rules.md 4)."""

from __future__ import annotations

import re
from secrets import token_hex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsproxy.core.wire.header_values import Headers
    from fsproxy.telemetry.metrics import Metrics

_PASSAGE = re.compile(r"[0-9a-f]{16}")


def new_passage() -> str:
    """Return a random name for an instance. Its workers use it too, and so does the program that takes its place."""
    return token_hex(8)


def handed_on(name: object) -> str:
    """Return the name of the program whose place is taken, or a new one if that is none that we would have made."""
    return name if isinstance(name, str) and _PASSAGE.fullmatch(name) else new_passage()


class Passages:
    """Knows the requests that have been through this instance."""

    def __init__(self, name: str, metrics: Metrics) -> None:
        self.name = name.encode("ascii")
        """Added to ``CDN-Loop`` on the way up."""
        self._metrics = metrics

    def is_loop(self, headers: Headers) -> bool:
        """Return whether a request has been here, and count it if so.

        The name may stand anywhere in the header, whose syntax others may have broken: 64 random bits are no
        coincidence.
        """
        passed = headers.get(b"cdn-loop")
        if passed is None or self.name not in passed:
            return False
        self._metrics.loops[()] += 1
        return True
