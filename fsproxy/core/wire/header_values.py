"""A request's or answer's header lines, and the values in them that decide how it is handled (rules.md 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from fsproxy.core.wire.header_names import ESSENTIAL

RawHeaders = tuple[tuple[bytes, bytes], ...]
"""Names and values as they came, in order."""


class Headers(dict[bytes, bytes]):
    """Maps each lower-case name to its value, and keeps what was derived from the lines.

    ``plain_head.KnownHeads`` gives equal heads the same object. So the requests of one visitor and the answers of
    one kind derive these things once: that is what the slots ``client``, ``facts`` and ``forward_lines`` are for.
    """

    __slots__ = ("_lines", "client", "facts", "forward_lines", "plain")

    def __init__(self, lines: RawHeaders | None = None, plain: Sequence[bytes] = ()) -> None:
        """Take ``lines``, or else ``plain``: the whole lines, one for each name. The caller adds the values."""
        super().__init__()
        self._lines = lines
        self.plain = plain
        self.client: tuple[Any, ...] | None = None
        """The client, and what it was resolved from. Set by ``client_address``."""
        self.facts: object = None
        """The filters' facts. Set by ``facts``."""
        self.forward_lines: tuple[Any, ...] | None = None
        """The lines to forward, and what they were made from. Set by ``headers`` and ``answer_headers``."""

    @property
    def lines(self) -> RawHeaders:
        """Return all lines as they came."""
        if self._lines is None:
            split = (line.partition(b": ") for line in self.plain)
            self._lines = tuple((name, value) for name, _, value in split)
        return self._lines

    def each(self) -> Iterable[tuple[bytes, bytes]]:
        """Return the lower-case name and the whole line of each header line."""
        if self.plain:
            return zip(self, self.plain, strict=True)
        return ((pair[0].lower(), b": ".join(pair)) for pair in self.lines)


def index(headers: RawHeaders) -> Headers:
    """Index the lines by name. Join repeated ones in order, ``Cookie`` by ``; ``, others by ``, ``."""
    found = Headers(headers)
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


def without_named(headers: RawHeaders) -> RawHeaders:
    """Return the lines without ``Connection`` and without those that it names, unless they are ``ESSENTIAL``."""
    lines = [value.lower().split(b",") for name, value in headers if name.lower() == b"connection"]
    gone = {part.strip() for line in lines for part in line} - ESSENTIAL | {b"connection"}
    return tuple(pair for pair in headers if pair[0].lower() not in gone)


def accepts_trailers(value: bytes) -> bool:
    """Return whether a ``TE`` line accepts trailers; none of its other codings is forwarded."""
    return any(part.partition(b";")[0].strip() == b"trailers" for part in value.lower().split(b","))


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
