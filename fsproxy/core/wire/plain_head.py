"""The fast lane's closed grammar: heads without anything unusual, read in a few passes of C.

What is read here means to the general parser just what it means here; of whatever it could read otherwise,
or refuse, nothing is read (None), and it goes to that parser untouched. Two parsers that disagree are request
smuggling (architecture.md 4). The grammar, in the words of RFC 9112:

    start line CRLF 1*( field-name ": " field-value CRLF ) CRLF

- a field name is of letters, digits and "-", and comes once;
- a field value is of printable ASCII, begins and ends with no space, and is not empty;
- ``Content-Length`` is 1 to 9 digits; there is no field that changes framing or the connection;
- a request has a ``Host``.
"""

from __future__ import annotations

import re
from collections import OrderedDict

import msgspec

from fsproxy.core.wire.header_values import Headers

LONGEST_KNOWN = 2048
"""Bytes of header lines that are remembered; a browser sends 500 to 1,500."""
MOST_KNOWN = 8192
"""Heads that are remembered, the oldest goes first: about 3 KB each, so some 25 MB where all are in use."""
MOST_LINES = 128
MOST_NAMES = 1024
"""Spellings of field names that are remembered."""
METHODS = {b"POST": "POST", b"GET": "GET", b"OPTIONS": "OPTIONS", b"PUT": "PUT", b"HEAD": "HEAD", b"DELETE": "DELETE"}
BODILESS = frozenset({204, 304})
"""Statuses whose answers have no body, whatever their headers say."""
_LENGTHLESS = frozenset({"GET", "OPTIONS", "HEAD", "DELETE"})
"""Without a length these have no body; what POST and PUT mean by that is left to the general parser."""

_NAME = re.compile(rb"[A-Za-z0-9-]{1,64}")
_TARGET = re.compile(rb"/(?!/)[A-Za-z0-9/?&=%._~:@!$'()*+,;\x80-\xff-]*")
_PRINTABLE = bytes(range(0x20, 0x7F))
_UNUSUAL = frozenset(
    {
        b"content-length",
        b"transfer-encoding",
        b"expect",
        b"upgrade",
        b"te",
        b"trailer",
        b"keep-alive",
        b"proxy-connection",
        b"http2-settings",
        b"sec-websocket-key1",
    }
)
_SINGULAR = frozenset({b"x-request-id", b"traceparent", b"x-amzn-trace-id", b"cf-ray", b"set-cookie", b"etag"})
"""Differ from request to request: what they stand in is not worth remembering."""
_AFTER_NAME = len(b"Content-Length: ")
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ([ -~]{0,64})")
_LENGTH = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")


class PlainHead(msgspec.Struct, frozen=True, gc=False):
    """A head, and where its body begins."""

    method: str
    target: str
    headers: Headers
    length: int | None
    """``Content-Length``; without one there is no body."""
    end: int
    """Where the body begins."""


class PlainAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer's head; its body has a length, and is all that follows."""

    status: int
    reason: bytes
    headers: Headers
    length: bytes
    """The line of ``Content-Length`` as it came."""
    place: int
    """How many of the lines stand before it."""
    end: int
    """Where the body begins."""

    def lines(self) -> list[tuple[bytes, bytes]]:
        """All of them, the length's in its place."""
        name, _, digits = self.length.partition(b": ")
        return [*self.headers.lines[: self.place], (name, digits), *self.headers.lines[self.place :]]


class KnownHeads:
    """Reads heads. A visitor's requests have the same lines but for the length, so the last are remembered."""

    __slots__ = ("_known", "_names")

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Headers] = OrderedDict()
        self._names: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._known)

    def read(self, data: bytes, limit: int) -> PlainHead | None:
        """The head at the beginning of ``data``, if it is whole, within ``limit`` bytes, and plain."""
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
        """The answer's head, if it is plain, and ``data`` is the whole answer and nothing more."""
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
        """Of lines that begin and end with CRLF."""
        headers = self._known.get(lines)
        if headers is not None:
            return headers
        headers = self._read(lines)
        # Not before the lines have proved to be plain.
        if headers is None or len(lines) > LONGEST_KNOWN or not _SINGULAR.isdisjoint(headers):
            return headers
        if len(self._known) >= MOST_KNOWN:
            self._known.popitem(last=False)
        self._known[lines] = headers
        return headers

    def _read(self, lines: bytes) -> Headers | None:
        parts = lines[2:-2].split(b"\r\n")
        # All that is not printable is the CRLF after each line: then no line holds half of one.
        if len(parts) > MOST_LINES or lines.translate(None, _PRINTABLE) != b"\r\n" * (len(parts) + 1):
            return None
        if b":  " in lines or b" \r\n" in lines:
            return None
        found = Headers(plain=parts)
        known = self._names.get
        for part in parts:
            name, colon, value = part.partition(b": ")
            lower = known(name) or self._name(name)
            if lower is None or not colon:
                return None
            found[lower] = value
        if len(found) < len(parts):
            return None
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
    """The lines before and after ``Content-Length``, and between them its own; that is empty without one."""
    at = lines.find(_LENGTH[0])
    if at < 0:
        at = lines.find(_LENGTH[1])
        if at < 0:
            return lines, b"", b""
    stop = lines.find(b"\r\n", at + 2)
    return lines[:at], lines[at + 2 : stop], lines[stop:]
