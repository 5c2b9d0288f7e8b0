"""A request's or answer's header lines, and the values in them that decide how it is handled (rules.md 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from fsproxy.core.wire.header_names import ESSENTIAL

RawHeaders = tuple[tuple[bytes, bytes], ...]
"""Names and values as they came, in order."""


class Headers(dict[bytes, bytes]):
    """The header lines of a request or an answer.

    As a mapping, it has the values that decide how the message is handled, by their names in lower case: at least
    those of ``header_names.READ``. ``find`` knows every other name.
    """

    __slots__ = ("block", "judged", "plain")

    # The two readers of heads set these and add the values. A constructor in Python would cost more than all of that.
    block: bytes
    """All lines as they came, each after a CRLF."""
    judged: Sequence[tuple[bytes, bytes]]
    """Names and values as they came, in order; at least of those that the mapping has."""
    plain: bool
    """The lines were read by ``plain_head``: the mapping has one line for each name."""

    @property
    def lines(self) -> RawHeaders:
        """Return all names and values as they came."""
        return tuple(
            (name, value) for name, _, value in (line.partition(b": ") for line in self.block.split(b"\r\n")[1:])
        )

    def find(self, name: bytes) -> bytes | None:
        """Return the value of any header by its name in lower case, for names that come from the configuration."""
        value = self.get(name)
        if value is None and self.plain:
            found = _line_of(name).findall(self.block)
            return b", ".join(found) if found else None
        return value


@lru_cache(maxsize=64)
def _line_of(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"\r\n(?i:%b): ([^\r]*)" % re.escape(name))


def index(headers: RawHeaders) -> Headers:
    """Index the lines by name. Join repeated ones in order, ``Cookie`` by ``; ``, others by ``, ``."""
    found = Headers()
    found.block, found.judged, found.plain = b"".join([b"\r\n%b: %b" % pair for pair in headers]), headers, False
    for name, value in headers:
        found[name.lower()] = value
    if len(found) < len(headers):
        lists: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            lists.setdefault(name.lower(), []).append(value)
        found.update({name: (b"; " if name == b"cookie" else b", ").join(values) for name, values in lists.items()})
    return found


def asks_for_socket(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Return whether this is a handshake that RFC 6455 4.2.1 allows: a GET without a body, to ``websocket`` alone.

    Any other request to upgrade may be answered as if it had not asked (RFC 9110 7.8). Forwarded as an upgrade, one
    with a body would lose the body, and one to HTTP/2 would bypass every filter.
    """
    return (
        method == "GET"
        and headers.get(b"upgrade", b"").lower() == b"websocket"
        and headers.get(b"content-length", b"0") == b"0"
        and b"transfer-encoding" not in headers
    )


NAMES_NOTHING = frozenset({b"keep-alive", b"close", b"upgrade", b"keep-alive, upgrade"})
"""Frequent ``Connection`` values, in lower case, that name only headers that are never forwarded anyway."""


def without_named(block: bytes, connection: bytes) -> bytes:
    """Return a ``Headers.block`` without the lines that ``Connection`` names, unless they are ``ESSENTIAL``."""
    gone = {part.strip() for part in connection.lower().split(b",")} - ESSENTIAL - {b""}
    return re.sub(rb"\r\n(?i:%b): [^\r]*" % b"|".join(map(re.escape, gone)), b"", block) if gone else block


def accepts_trailers(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether ``TE`` accepts trailers, and ``Connection`` does not name it; no other coding is forwarded."""
    if b"te" in map(bytes.strip, headers.get(b"connection", b"").lower().split(b",")):
        return False
    return any(part.partition(b";")[0].strip() == b"trailers" for part in headers[b"te"].lower().split(b","))


@lru_cache(maxsize=256)
def narrowed_encoding(accept: bytes) -> bytes:
    """Return ``gzip`` if the client accepts it, else ``identity``."""
    takes: dict[bytes, bool] = {}
    for part in accept.lower().split(b","):
        coding, _, weight = part.partition(b";")
        q, _, number = weight.strip().partition(b"=")
        refused = q.strip() == b"q" and number.strip().rstrip(b"0") in {b"0.", b""}
        takes[coding.strip()] = not refused
    fallback = takes.get(b"*", False)
    return b"gzip" if takes.get(b"gzip", takes.get(b"x-gzip", fallback)) else b"identity"
