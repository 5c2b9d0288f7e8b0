"""What single header values say, however many lines they are spread over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from fsproxy.core.wire.header_names import ESSENTIAL

RawHeaders = tuple[tuple[bytes, bytes], ...]
"""As the parser gives them: names as sent, in order."""


class Headers(dict[bytes, bytes]):
    """Lower-case name -> value, and what was read out of these lines already: requests of one visitor share them."""

    __slots__ = ("_lines", "client", "forward_lines", "plain", "said")

    def __init__(self, lines: RawHeaders | None = None, plain: Sequence[bytes] = ()) -> None:
        """``plain``: in place of the lines their bytes, one for each name; the caller fills in the values."""
        super().__init__()
        self._lines = lines
        self.plain = plain
        self.client: tuple[Any, ...] | None = None
        """``client_address``: whose they are, and by what they were told so."""
        self.said: object = None
        """``facts``: what the filters may know of them."""
        self.forward_lines: tuple[Any, ...] | None = None
        """``headers``: the lines that go on, up or down, and what they were made from."""

    @property
    def lines(self) -> RawHeaders:
        """As the parser gives them."""
        if self._lines is None:
            split = (line.partition(b": ") for line in self.plain)
            self._lines = tuple((name, value) for name, _, value in split)
        return self._lines

    def each(self) -> Iterable[tuple[bytes, bytes]]:
        """Every line with its name in lower case."""
        if self.plain:
            return zip(self, self.plain, strict=True)
        return ((pair[0].lower(), b": ".join(pair)) for pair in self.lines)


def index(headers: RawHeaders) -> Headers:
    """Index the lines. Repeated ones are joined in order, ``Cookie`` by ``; ``, others by ``, ``."""
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
    """A handshake that RFC 6455 4.2.1 allows: a GET without a body, to ``websocket`` and nothing else.

    Any other request to upgrade may be answered as if it had not asked (RFC 9110 7.8). Passed on, one with a
    body would lose that, and one to HTTP/2 would open a way round everything that is judged.
    """
    return (
        method == "GET"
        and headers.get(b"upgrade", b"").lower() == b"websocket"
        and headers.get(b"content-length", b"0") == b"0"
        and b"transfer-encoding" not in headers
    )


NAMES_NOTHING = frozenset({b"keep-alive", b"close", b"upgrade", b"keep-alive, upgrade"})
"""Frequent ``Connection`` values, in lower case, that name no header but those that stop here anyway."""


def without_named(headers: RawHeaders) -> RawHeaders:
    """The lines less ``Connection`` and what it names; what is end-to-end by definition stays."""
    lines = [value.lower().split(b",") for name, value in headers if name.lower() == b"connection"]
    gone = {part.strip() for line in lines for part in line} - ESSENTIAL | {b"connection"}
    return tuple(pair for pair in headers if pair[0].lower() not in gone)


def accepts_trailers(value: bytes) -> bool:
    """A ``TE`` line that takes trailers; no other of its codings crosses a hop."""
    return any(part.partition(b";")[0].strip() == b"trailers" for part in value.lower().split(b","))


@lru_cache(maxsize=256)
def narrowed_encoding(accept: bytes) -> bytes:
    """``gzip`` where the client takes it, else ``identity``."""
    takes: dict[bytes, bool] = {}
    for part in accept.lower().split(b","):
        coding, _, weight = part.partition(b";")
        q, _, number = weight.strip().partition(b"=")
        refused = q.strip() == b"q" and number.strip().rstrip(b"0") in {b"0.", b""}
        takes[coding.strip()] = not refused
    fallback = takes.get(b"*", False)
    return b"gzip" if takes.get(b"gzip", takes.get(b"x-gzip", fallback)) else b"identity"
