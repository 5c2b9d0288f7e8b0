"""The requests that the backend has received, kept in bounded memory and shown in a readable form."""

from __future__ import annotations

import base64
import json
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

KEPT = 200
"""How many requests are kept."""
KEPT_BYTES = 256 * 1024
"""The largest body that is kept, and the largest that is shown once decompressed. 200 of them take less than 50 MB."""
MAX_DECOMPRESSED = 64 * 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"
_HIDDEN = "(not shown)"


class BodyError(ValueError):
    """A body is not what it is announced to be, which is the client's fault."""


def decompressed(body: bytes, *, gzip: bool) -> bytes:
    """Return the body's plain bytes. Raise BodyError for broken gzip, and above ``MAX_DECOMPRESSED``."""
    if not gzip:
        return body
    plain = zlib.decompressobj(wbits=31)
    try:
        data = plain.decompress(body, MAX_DECOMPRESSED)
    except zlib.error:
        raise BodyError("the body is announced as gzip and is not") from None
    if not plain.eof:
        raise BodyError("the gzip body is cut off, or too big when decompressed")
    return data


def parsed(body: bytes) -> Any:
    """Return the body as JSON. Raise BodyError."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BodyError("the body is not JSON") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)  # Python would read NaN and Infinity, which no JSON holds


@dataclass(frozen=True, slots=True)
class Received:
    """One request, or one WebSocket message, as it arrived."""

    at_ms: int
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    gzip: bool = False
    cut: int = 0
    """The length of a body that was too long to be kept."""

    def shown(self) -> dict[str, object]:
        """Return the request in a readable form: the body decoded, without credentials and values of cookies."""
        return {
            "at_ms": self.at_ms,
            "method": self.method,
            "path": self.path,
            "query": dict(self.query),
            "headers": {name: _shown_header(name, value) for name, value in self.headers.items()},
            "bytes": self.cut or len(self.body),
            "body": self._shown_body(),
        }

    def _shown_body(self) -> object:
        if self.cut:
            return {"too_big_to_show": self.cut}
        try:
            plain = decompressed(self.body, gzip=self.gzip)
        except BodyError:
            plain = self.body
        if len(plain) > KEPT_BYTES:
            return {"too_big_to_show": len(plain)}
        try:
            return parsed(plain) if plain else None
        except BodyError:
            pass
        try:
            return plain.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(plain).decode()}


def _shown_header(name: str, value: str) -> str:
    if name.lower() == "cookie":
        names = [pair.partition("=")[0].strip() for pair in value.split(";")]
        return "; ".join(f"{cookie}={_HIDDEN}" for cookie in names)
    return _HIDDEN if name.lower() in {"authorization", "proxy-authorization"} else value


class Store:
    """The last requests, the newest last, and how many there were in all."""

    def __init__(self, limit: int = KEPT) -> None:
        self._last: deque[Received] = deque(maxlen=limit)
        self.total = 0

    def keep(self, received: Received) -> None:
        """Add a request; the oldest is forgotten when there are too many. Keep only the length of a very long body."""
        too_long = len(received.body) > KEPT_BYTES
        self._last.append(replace(received, body=b"", cut=len(received.body)) if too_long else received)
        self.total += 1

    def clear(self) -> None:
        """Forget everything."""
        self._last.clear()
        self.total = 0

    def shown(self, limit: int) -> dict[str, object]:
        """Return the last ``limit`` requests as JSON."""
        last = list(self._last)[-limit:] if limit > 0 else []
        return {"total": self.total, "received": [received.shown() for received in last]}
