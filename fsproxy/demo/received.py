"""What the backend has received, kept in bounded memory and shown in a form that people can read."""

from __future__ import annotations

import base64
import json
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

KEPT = 200
"""Requests that are kept; older ones are forgotten."""
KEPT_BYTES = 256 * 1024
"""Of one body, decompressed. A body above that is shown by its size alone: 200 of them stay below 50 MB."""
MAX_DECOMPRESSED = 64 * 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"
_HIDDEN = "(not shown)"


class BodyError(ValueError):
    """The client's fault: a body that is not what it is announced to be."""


def decompressed(body: bytes, *, gzip: bool) -> bytes:
    """The body's plain bytes. Raises ``BodyError`` for broken gzip, and above ``MAX_DECOMPRESSED``."""
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
    """The body as JSON; raises ``BodyError``."""
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
    """How long the body was, when it was too long to be kept."""

    def shown(self) -> dict[str, object]:
        """The request for people: its body decoded, its credentials and the values of its cookies left out."""
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
    """The last requests, newest last; and how many there were in all."""

    def __init__(self, limit: int = KEPT) -> None:
        self._last: deque[Received] = deque(maxlen=limit)
        self.total = 0

    def keep(self, received: Received) -> None:
        """Adds one, and forgets the oldest when there are too many. Of a very long body only the length is kept."""
        too_long = len(received.body) > KEPT_BYTES
        self._last.append(replace(received, body=b"", cut=len(received.body)) if too_long else received)
        self.total += 1

    def clear(self) -> None:
        """Forgets everything."""
        self._last.clear()
        self.total = 0

    def shown(self, limit: int) -> dict[str, object]:
        """The last ``limit`` requests as JSON."""
        last = list(self._last)[-limit:] if limit > 0 else []
        return {"total": self.total, "received": [received.shown() for received in last]}
