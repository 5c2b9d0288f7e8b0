"""One host of the upstream, as its URL names it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Origin:
    """One upstream host."""

    host: str
    port: int
    tls: bool
    authority: bytes
    """The Host header."""
    prefix: str
    """What its URL puts before every target: "" or ``/something`` without a slash at the end."""

    @classmethod
    def of(cls, url: str) -> Origin:
        """Return the origin of a URL that the loader has checked."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        return cls(
            parts.hostname or "",
            parts.port or (443 if tls else 80),
            tls,
            parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii"),
            parts.path.rstrip("/"),
        )

    @property
    def address(self) -> str:
        """Host and port, for people. What else its URL holds may be a secret."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
