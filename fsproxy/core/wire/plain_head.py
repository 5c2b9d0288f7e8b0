"""The closed grammar of plain heads: those without anything unusual, read in a few passes of C code.

Where two parsers disagree about a head, requests can be smuggled past one of them. So this one reads only heads that
mean the same to the general parser. For any other head it returns None, and the caller gives the bytes, untouched, to
that parser. The grammar, in the words of RFC 9112:

    start line CRLF 1*( field-name ": " field-value CRLF ) CRLF

- A field name consists of letters, digits and "-".
- A field value is printable ASCII, neither begins nor ends with a space, and is not empty.
- Of the names that are looked up (``header_names``), each comes once.
- ``Content-Length`` has 1 to 9 digits; no other field changes framing or the connection.
- A request has a ``Host``.

One regular expression checks this, and a second one finds the lines that are looked up. Nothing is made of the other
lines: they are forwarded as they came. The repetitions are possessive (``++``), so that a head which does not fit is
known after one look at each byte.
"""

from __future__ import annotations

import re

import msgspec

from fsproxy.core.possessive import BACK_IN_BYTES
from fsproxy.core.wire.header_names import ANSWER_READ, READ, any_of
from fsproxy.core.wire.header_values import Headers

METHODS = {b"POST": "POST", b"GET": "GET", b"OPTIONS": "OPTIONS", b"PUT": "PUT", b"HEAD": "HEAD", b"DELETE": "DELETE"}
BODILESS = frozenset({204, 304})
"""Statuses of answers that have no body, whatever their headers are."""
_LENGTHLESS = frozenset({"GET", "OPTIONS", "HEAD", "DELETE"})
"""Without a length these have no body. What it means for POST and PUT is left to the general parser."""
_UNUSUAL = frozenset(
    b"transfer-encoding expect upgrade te trailer keep-alive proxy http2-settings sec-websocket-key1".split()
)
"""A head with one of these goes to the general parser."""
MOST_SPELLINGS = 1024
"""Spellings of field names that are remembered."""

_LINES = rb"((?:\r\n[A-Za-z0-9-]{1,64}+: (?! )[ -~]++(?<! )" + BACK_IN_BYTES + rb")++)\r\n\r\n"
_REQUEST = re.compile(
    rb"(POST|GET|OPTIONS|PUT|HEAD|DELETE) (/(?!/)[A-Za-z0-9/?&=%._~:@!$'()*+,;\x80-\xff-]*+) HTTP/1\.1" + _LINES
)
_ANSWER = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ([ -~]{0,64}+)" + _LINES)
_PROXY = b"proxy-"
_READ_OF_REQUEST, _READ_OF_ANSWER = [
    re.compile(rb"\r\n(?i:(%b|%b[^:]*)): ([^\r]*)" % (any_of(names), _PROXY)).findall for names in (READ, ANSWER_READ)
]


class PlainHead(msgspec.Struct, frozen=True, gc=False):
    """A request's head."""

    method: str
    target: str
    headers: Headers
    length: int | None
    """``Content-Length``; None: there is no body."""
    end: int
    """The offset at which the body begins."""


class AnswerHead(msgspec.Struct, frozen=True, gc=False):
    """The status line and the headers of an answer, as they came, by whichever parser."""

    status: int
    reason: bytes
    headers: Headers
    length: int | None = None
    """Bytes of its body; None: they are not known beforehand."""
    chunked: bool = False


def read_request(data: bytes, limit: int) -> PlainHead | None:
    """Return the head at the beginning of ``data``; None unless it is whole, plain and within ``limit`` bytes."""
    found = _REQUEST.match(data)
    if found is None:
        return None
    method, target, block = found.groups()
    end = found.end()
    headers = _headers(block, _READ_OF_REQUEST(block))
    if headers is None or b"host" not in headers or end - 4 > limit:
        return None
    name, digits = METHODS[method], headers.get(b"content-length")
    if digits is None:
        if name not in _LENGTHLESS:
            return None
    elif len(digits) > 9 or not digits.isdigit():
        return None
    return PlainHead(
        name, target.decode("utf-8", "surrogateescape"), headers, None if digits is None else int(digits), end
    )


def read_answer(data: bytes, limit: int) -> tuple[AnswerHead, bytes] | None:
    """Return an answer's head and body; None unless it is plain, and ``data`` is that whole answer and nothing more."""
    found = _ANSWER.match(data)
    if found is None:
        return None
    block, end = found[3], found.end()
    headers = _headers(block, _READ_OF_ANSWER(block))
    if headers is None or end - 4 > limit:
        return None
    digits, status = headers.get(b"content-length", b""), int(found[1])
    length = len(data) - end
    if len(digits) > 9 or not digits.isdigit() or int(digits) != length or status in BODILESS:
        return None
    return AnswerHead(status, found[2], headers, length), data[end:]


class _LowerCase(dict[bytes, bytes]):
    """Field names by their spellings, as far as they were met. All of ``Proxy-*`` counts as ``Proxy``."""

    def __missing__(self, name: bytes) -> bytes:
        lower = name.lower()
        if lower.startswith(_PROXY):
            lower = b"proxy"
        if len(self) < MOST_SPELLINGS:
            self[name] = lower
        return lower


_lower = _LowerCase()


def _headers(block: bytes, judged: list[tuple[bytes, bytes]]) -> Headers | None:
    """Return the headers; None where a name comes twice, or one of them is unusual."""
    found = Headers()
    found.block, found.judged, found.plain = block, judged, True
    lower = _lower
    for name, value in judged:
        found[lower[name]] = value
    if len(found) < len(judged) or not _UNUSUAL.isdisjoint(found):
        return None
    connection = found.get(b"connection")
    return found if connection is None or connection.lower() == b"keep-alive" else None
