"""The fast lane's closed grammar: heads without anything unusual, read in a few passes of C code.

Where two parsers disagree about a head, requests can be smuggled past one of them. So this one reads only heads that
mean the same to the general parser. For any other head it returns None, and the caller gives the bytes, untouched, to
that parser. The grammar, in the words of RFC 9112:

    start line CRLF 1*( field-name ": " field-value CRLF ) CRLF

- A field name consists of letters, digits and "-", and comes once.
- A field value is printable ASCII, neither begins nor ends with a space, and is not empty.
- ``Content-Length`` has 1 to 9 digits; no other field changes framing or the connection.
- A request has a ``Host``.

How a head is checked without a loop over its bytes: remove all printable characters from the lines, and what is left
must be exactly one CRLF a line. So there are no control characters, no bare CR or LF, no folded line, and nothing that
is not ASCII. Then each line is split at its first ": ". A field name cannot hold a ":" or a space, so a line without
exactly that separator behind a valid name is refused.

How heads are remembered: the requests of one visitor differ in the start line and the length, and hardly in the other
lines. So the line of the length is cut out, and the bytes of the rest are the key under which the parsed headers are
kept. Lines that were read before cost one look-up.
"""

from __future__ import annotations

import re
from collections import OrderedDict

import msgspec

from fsproxy.core.wire.header_values import Headers

LONGEST_KNOWN = 2048
"""Bytes of the header lines of a head that is remembered; a browser sends 500 to 1,500."""
MOST_KNOWN = 8192
"""Heads that are remembered; the oldest is forgotten first. About 3 KB each, so at most some 25 MB."""
MOST_LINES = 128
MOST_NAMES = 1024
"""Spellings of field names that are remembered."""
METHODS = {b"POST": "POST", b"GET": "GET", b"OPTIONS": "OPTIONS", b"PUT": "PUT", b"HEAD": "HEAD", b"DELETE": "DELETE"}
BODILESS = frozenset({204, 304})
"""Statuses of answers that have no body, whatever their headers are."""
_LENGTHLESS = frozenset({"GET", "OPTIONS", "HEAD", "DELETE"})
"""Without a length these have no body. What it means for POST and PUT is left to the general parser."""

_NAME = re.compile(rb"[A-Za-z0-9-]{1,64}")
_TARGET = re.compile(rb"/(?!/)[A-Za-z0-9/?&=%._~:@!$'()*+,;\x80-\xff-]*")
_PRINTABLE = bytes(range(0x20, 0x7F))
_UNUSUAL = frozenset(
    b"content-length transfer-encoding expect upgrade te trailer keep-alive proxy-connection http2-settings "
    b"sec-websocket-key1".split()
)
"""A head with one of these goes to the general parser. The line of ``Content-Length`` has been cut out by then, so one
that is still there is the second, or its name is spelled in an unusual way."""
_SINGULAR = frozenset({b"x-request-id", b"traceparent", b"x-amzn-trace-id", b"cf-ray", b"set-cookie", b"etag"})
"""Their values differ from request to request: a head with one of them is not worth remembering."""
_AFTER_NAME = len(b"Content-Length: ")
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ([ -~]{0,64})")
_LENGTH = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")


class PlainHead(msgspec.Struct, frozen=True, gc=False):
    """A request's head."""

    method: str
    target: str
    headers: Headers
    length: int | None
    """``Content-Length``; None: there is no body."""
    end: int
    """The offset at which the body begins."""


class PlainAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer's head. Its body has a length, and is all that follows."""

    status: int
    reason: bytes
    headers: Headers
    length: bytes
    """The line of ``Content-Length`` as it came."""
    place: int
    """The number of lines before it."""
    end: int
    """The offset at which the body begins."""

    def lines(self) -> list[tuple[bytes, bytes]]:
        """Return all lines, that of the length in its place."""
        name, _, digits = self.length.partition(b": ")
        return [*self.headers.lines[: self.place], (name, digits), *self.headers.lines[self.place :]]


class KnownHeads:
    """Reads heads, and remembers the header lines of the last ones."""

    __slots__ = ("_known", "_names")

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Headers] = OrderedDict()
        self._names: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._known)

    def read(self, data: bytes, limit: int) -> PlainHead | None:
        """Return the head at the beginning of ``data``; None unless it is whole, plain and within ``limit`` bytes."""
        end = data.find(b"\r\n\r\n")
        if not 0 < end <= limit:
            return None
        first = data.find(b"\r\n")
        line = data[:first].split(b" ")
        if len(line) != 3 or line[2] != b"HTTP/1.1" or _TARGET.fullmatch(line[1]) is None:
            return None
        method = METHODS.get(line[0])
        if method is None:
            return None
        before, length, after = _split_length(data[first : end + 2])
        digits = length[_AFTER_NAME:]
        if len(digits) > 9 or not (digits.isdigit() or (not digits and method in _LENGTHLESS)):
            return None
        headers = self._headers(before + after)
        if headers is None or b"host" not in headers:
            return None
        target = line[1].decode("utf-8", "surrogateescape")
        return PlainHead(method, target, headers, int(digits) if digits else None, end + 4)

    def read_answer(self, data: bytes, limit: int) -> PlainAnswer | None:
        """Return the answer's head; None unless it is plain, and ``data`` is that whole answer and nothing more."""
        end = data.find(b"\r\n\r\n")
        if not 0 < end <= limit:
            return None
        first = data.find(b"\r\n")
        line = _STATUS.fullmatch(data, 0, first)
        before, length, after = _split_length(data[first : end + 2])
        digits = length[_AFTER_NAME:]
        if line is None or not digits.isdigit() or len(digits) > 9 or int(digits) != len(data) - end - 4:
            return None
        headers, status = self._headers(before + after), int(line[1])
        if headers is None or status in BODILESS:
            return None
        return PlainAnswer(status, line[2], headers, length, before.count(b"\r\n"), end + 4)

    def _headers(self, lines: bytes) -> Headers | None:
        """Return the headers in ``lines``, which begin and end with CRLF; None where they are not plain."""
        headers = self._known.get(lines)
        if headers is not None:
            return headers
        headers = self._read(lines)
        if headers is None or len(lines) > LONGEST_KNOWN or not _SINGULAR.isdisjoint(headers):
            return headers
        if len(self._known) >= MOST_KNOWN:
            self._known.popitem(last=False)
        self._known[lines] = headers
        return headers

    def _read(self, lines: bytes) -> Headers | None:
        parts = lines[2:-2].split(b"\r\n")
        # ``lines`` begins with a CRLF as well, so there is one more of them than there are lines.
        if len(parts) > MOST_LINES or lines.translate(None, _PRINTABLE) != b"\r\n" * (len(parts) + 1):
            return None
        if b":  " in lines or b" \r\n" in lines:
            return None  # a value begins or ends with a space; one that is empty does so as well
        found = Headers(plain=parts)
        known = self._names.get
        for part in parts:
            name, colon, value = part.partition(b": ")
            lower = known(name) or self._name(name)
            if lower is None or not colon:
                return None
            found[lower] = value
        if len(found) < len(parts):
            return None  # a name came twice
        if not _UNUSUAL.isdisjoint(found) or found.get(b"connection", b"keep-alive").lower() != b"keep-alive":
            return None
        return found

    def _name(self, name: bytes) -> bytes | None:
        if _NAME.fullmatch(name) is None:
            return None
        lower = name.lower()
        if len(self._names) < MOST_NAMES:
            self._names[name] = lower
        return lower


def _split_length(lines: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the lines before ``Content-Length``, its own line, and the lines after it."""
    at = lines.find(_LENGTH[0])
    if at < 0:
        at = lines.find(_LENGTH[1])
        if at < 0:
            return lines, b"", b""
    stop = lines.find(b"\r\n", at + 2)
    return lines[:at], lines[at + 2 : stop], lines[stop:]
