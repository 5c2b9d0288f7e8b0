"""Certificates that end soon or have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import Condition, Level

SOON_DAYS = 14
"""A certificate that ends within so many days should have been renewed."""
_DAY = 86_400.0
EVERY_SECONDS = 600.0
"""Between two looks at our own certificate's file."""
_RENEW = "Renew it, and restart: serve --take-over does that without a gap."
_RESTART = "The file holds a newer one already, which only a restart loads: serve --take-over does that without a gap."


class OwnCertificate:
    """A source: the certificate that recorders see, as it was at the start, which its file may not hold any more."""

    def __init__(self, path: str, read: Callable[[str], Instant | None]) -> None:
        """``read`` returns when the certificate in the file ends; None: that cannot be known."""
        self._path = path
        self._read = read
        self._loaded = self._in_file = read(path)
        self._looked: Instant | None = None

    def __call__(self, now: Instant) -> Iterator[Condition]:
        """Yield that it ends soon, or has ended."""
        if self._loaded is None:
            return
        if self._looked is None or not 0 <= now - self._looked < EVERY_SECONDS:
            self._looked, self._in_file = now, self._read(self._path)
        is_newer = self._in_file is not None and self._in_file > self._loaded
        found = certificate_ends(f"listen.tls ({self._path})", self._loaded, now, _RESTART if is_newer else _RENEW)
        if found is not None:
            yield found


def certificate_ends(what: str, ends: Instant, now: Instant, advice: str) -> Condition | None:
    """Return that a certificate ends soon or has ended; None: neither. ``what`` names it."""
    if ends - now >= SOON_DAYS * _DAY:
        return None
    over = ends <= now
    when = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Condition(
        id=f"certificate:{what}",
        level=Level.BAD if over else Level.WARN,
        since=now,
        text=f"the certificate of {what} {'ended' if over else 'ends'} on {when}",
        more=advice,
        fields={"certificate": what},
    )
