"""Requests that two readers could read in two ways, as data: RFC 9110 and 9112, turned against whoever reads loosely.

Each is written for the target ``/x``; the tests put the paths of other routes in its place. What goes up must be
the same however the bytes arrive, so that a second parser beside the first can be held against it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
"""Stands behind most of them: it must be nobody's request, ever."""
POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n"
LENGTH = b"Content-Length: 2\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that is odd and right, or that is followed by one which is not."""

    sent: bytes
    answers: tuple[int, ...] = (200,)
    """Statuses; 200 stands for what the route answers. After the last one the connection may be kept or not."""
    bodies: tuple[bytes, ...] = (b"{}",)
    """What goes up, one for each 200."""
    on_pages: bool = True
    """The body is one that a page may have."""


def _post(headers: bytes, body: bytes) -> bytes:
    return POST + headers + b"\r\n" + body


_LENGTHS = {
    "two lengths": _post(b"Content-Length: 0\r\nContent-Length: 38\r\n", SMUGGLED),
    "two equal lengths": _post(b"Content-Length: 2\r\nContent-Length: 2\r\n", b"{}" + SMUGGLED),
    "two lengths of which one is in another case": _post(
        b"Content-Length: 2\r\ncontent-LENGTH: 3\r\n", b"{}" + SMUGGLED
    ),
    "two lengths with another header between": _post(
        b"Content-Length: 2\r\nX-A: b\r\nContent-Length: 38\r\n", b"{}" + SMUGGLED
    ),
    "a list of lengths": _post(b"Content-Length: 2, 2\r\n", b"{}" + SMUGGLED),
    "a list of different lengths": _post(b"Content-Length: 2,38\r\n", b"{}" + SMUGGLED),
    "a length with a plus": _post(b"Content-Length: +2\r\n", b"{}" + SMUGGLED),
    "a negative length": _post(b"Content-Length: -1\r\n", SMUGGLED),
    "minus nought": _post(b"Content-Length: -0\r\n", SMUGGLED),
    "a hexadecimal length": _post(b"Content-Length: 0x2\r\n", b"{}" + SMUGGLED),
    "a length with a letter": _post(b"Content-Length: 2a\r\n", b"{}" + SMUGGLED),
    "a length with an underscore": _post(b"Content-Length: 3_0\r\n", b"{}" + SMUGGLED),
    "a length with a space inside": _post(b"Content-Length: 3 0\r\n", b"{}" + SMUGGLED),
    "a length with a fraction": _post(b"Content-Length: 2.0\r\n", b"{}" + SMUGGLED),
    "a length in exponent form": _post(b"Content-Length: 2e0\r\n", b"{}" + SMUGGLED),
    "a quoted length": _post(b'Content-Length: "2"\r\n', b"{}" + SMUGGLED),
    "an empty length": _post(b"Content-Length: \r\n", SMUGGLED),
    "a length of blanks": _post(b"Content-Length: \t \r\n", SMUGGLED),
    "a length that 64 bits do not hold": _post(b"Content-Length: 18446744073709551618\r\n", b"{}" + SMUGGLED),
    "a length too large to count": _post(b"Content-Length: 99999999999999999999999999\r\n", SMUGGLED),
    "a length in digits of another script": _post("Content-Length: ٣\r\n".encode(), b"{} " + SMUGGLED),
    "a length behind a vertical tab": _post(b"Content-Length:\x0b2\r\n", b"{}" + SMUGGLED),
    "a length before a form feed": _post(b"Content-Length: 2\x0c\r\n", b"{}" + SMUGGLED),
    "a length before a no-break space": _post(b"Content-Length: 2\xa0\r\n", b"{}" + SMUGGLED),
    "a length behind a NUL": _post(b"Content-Length: \x002\r\n", b"{}" + SMUGGLED),
    "a length whose name ends in a space": _post(b"Content-Length : 2\r\n", b"{}" + SMUGGLED),
    "a length whose name ends in a tab": _post(b"Content-Length\t: 2\r\n", b"{}" + SMUGGLED),
    "a length whose name begins with a space": _post(b" Content-Length: 2\r\n", b"{}" + SMUGGLED),
    "a length whose name holds a NUL": _post(b"Content-Length\x00: 2\r\n", b"{}" + SMUGGLED),
}

_CODINGS = {
    "length and chunked": _post(b"Content-Length: 4\r\n" + CHUNKED, b"0\r\n\r\n" + SMUGGLED),
    "chunked and length": _post(CHUNKED + b"Content-Length: 44\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunked and no length at all": _post(CHUNKED + b"Content-Length: \r\n", b"0\r\n\r\n" + SMUGGLED),
    "length and a coding in capitals": _post(
        b"Content-Length: 4\r\nTRANSFER-ENCODING: CHUNKED\r\n", b"0\r\n\r\n" + SMUGGLED
    ),
    "length and an unknown coding": _post(LENGTH + b"Transfer-Encoding: xchunked\r\n", b"{}" + SMUGGLED),
    "length and identity": _post(b"Transfer-Encoding: identity\r\n" + LENGTH, b"{}" + SMUGGLED),
    "length and an empty coding": _post(LENGTH + b"Transfer-Encoding: \r\n", b"{}" + SMUGGLED),
    "an empty coding": _post(b"Transfer-Encoding:\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunked is not last": _post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunked is first of two lines": _post(CHUNKED + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunked is last of two lines": _post(b"Transfer-Encoding: identity\r\n" + CHUNKED, b"0\r\n\r\n" + SMUGGLED),
    "an unknown coding": _post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a coding that begins as chunked does": _post(b"Transfer-Encoding: chunkedx\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a quoted coding": _post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n" + SMUGGLED),
    "chunked with a parameter": _post(b"Transfer-Encoding: chunked;a=b\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunked twice": _post(CHUNKED + CHUNKED, b"0\r\n\r\n" + SMUGGLED),
    "chunked twice in one line": _post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "an empty element beside chunked": _post(b"Transfer-Encoding: ,chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a coding beside chunked": _post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a vertical tab before chunked": _post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a form feed behind chunked": _post(b"Transfer-Encoding: chunked\x0c\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a NUL behind chunked": _post(b"Transfer-Encoding: chunked\x00\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a no-break space before chunked": _post(b"Transfer-Encoding: \xa0chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a long s for the k": _post("Transfer-Encoding: chun\u212aed\r\n".encode(), b"0\r\n\r\n" + SMUGGLED),
    "a space before the colon of a coding": _post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a tab before the colon of a coding": _post(b"Transfer-Encoding\t: chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a coding whose name begins with a space": _post(b" Transfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a coding whose name begins with a byte that is no letter": _post(
        b"\xffTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED
    ),
    "chunked in HTTP/1.0": b"POST /x HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
}

_LINES = {
    "a folded line": _post(b"X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", SMUGGLED),
    "a line folded by a tab": _post(b"X-A: b\r\n\tc\r\n", SMUGGLED),
    "a folded coding": _post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a folded length": _post(b"Content-Length:\r\n 2\r\n", b"{}" + SMUGGLED),
    "a folded first line": b"POST /x HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a line of blanks between the headers": _post(b"X-A: b\r\n \r\nX-C: d\r\n", SMUGGLED),
    "lines that end in LF alone": b"POST /x HTTP/1.1\nHost: a\nContent-Length: 0\n\n" + SMUGGLED,
    "a first line that ends in LF alone": b"POST /x HTTP/1.1\nHost: a\r\n\r\n" + SMUGGLED,
    "a header that ends in LF alone": _post(b"X-A: b\nContent-Length: 0\r\n", SMUGGLED),
    "a head that ends in LF alone": POST + b"X-A: b\r\n\n" + SMUGGLED,
    "a header that ends in CR alone": _post(b"X-A: b\rContent-Length: 2\r\n", b"{}" + SMUGGLED),
    "a head that ends in CR and another byte": POST + b"X-A: b\r\n\rX" + SMUGGLED,
    "CR CR LF": _post(b"X-A: b\r\r\n", SMUGGLED),
    "LF CR": b"POST /x HTTP/1.1\n\rHost: a\n\r\n\r" + SMUGGLED,
    "NUL in a value": _post(b"X-A: b\x00c\r\n", SMUGGLED),
    "a control in a value": _post(b"X-A: b\x01c\r\n", SMUGGLED),
    "DEL in a value": _post(b"X-A: b\x7fc\r\n", SMUGGLED),
    "an escape in a value": _post(b"X-A: \x1b[2J\r\n", SMUGGLED),
    "NUL in a name": _post(b"X-\x00A: b\r\n", SMUGGLED),
    "a high byte in a name": _post(b"X-\xe9: b\r\n", SMUGGLED),
    "a slash in a name": _post(b"X/A: b\r\n", SMUGGLED),
    "brackets in a name": _post(b"X[A]: b\r\n", SMUGGLED),
    "a quote in a name": _post(b'"X": b\r\n', SMUGGLED),
    "a space inside a name": _post(b"X A: b\r\n", SMUGGLED),
    "a space before the colon": _post(b"X-A : b\r\n", SMUGGLED),
    "a line without a colon": _post(b"no colon here\r\n", SMUGGLED),
    "an empty name": _post(b": b\r\n", SMUGGLED),
}

_CHUNKS = {
    "a chunk size that is none": _post(CHUNKED, b"Z\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "an empty chunk size": _post(CHUNKED, b"\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk size with a plus": _post(CHUNKED, b"+2\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk size with a minus": _post(CHUNKED, b"-2\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk size with a prefix": _post(CHUNKED, b"0x2\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk size with an underscore": _post(CHUNKED, b"0_2\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk size behind a space": _post(CHUNKED, b" 2\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk size that wraps": _post(CHUNKED, b"10000000000000002\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk size of only nines": _post(CHUNKED, b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk that is longer than it says": _post(CHUNKED, b"1\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk that does not end in CR LF": _post(CHUNKED, b"2\r\n{}XX0\r\n\r\n" + SMUGGLED),
    "a chunk that ends in LF": _post(CHUNKED, b"2\r\n{}\n0\r\n\r\n" + SMUGGLED),
    "chunk lines that end in LF": _post(CHUNKED, b"2\n{}\n0\n\n" + SMUGGLED),
    "chunk lines that end in CR": _post(CHUNKED, b"2\r{}\r0\r\r" + SMUGGLED),
    "a last chunk that ends in LF": _post(CHUNKED, b"2\r\n{}\r\n0\n\r\n" + SMUGGLED),
    "LF in an extension": _post(CHUNKED, b"2;a\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "CR in an extension": _post(CHUNKED, b"2;a\rb\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "NUL in an extension": _post(CHUNKED, b"2;a\x00b\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "an extension without its semicolon": _post(CHUNKED, b"2 a\r\n{}\r\n0\r\n\r\n" + SMUGGLED),
    "LF in an extension of the last chunk": _post(CHUNKED, b"2\r\n{}\r\n0;\n\r\n\r\n" + SMUGGLED),
    "a trailer that is no header": _post(CHUNKED, b"2\r\n{}\r\n0\r\nno colon\r\n\r\n" + SMUGGLED),
    "a trailer with a space before its colon": _post(CHUNKED, b"2\r\n{}\r\n0\r\nX-A : b\r\n\r\n" + SMUGGLED),
    "a folded trailer": _post(CHUNKED, b"2\r\n{}\r\n0\r\nX-A: b\r\n c\r\n\r\n" + SMUGGLED),
    "a trailer that ends in LF": _post(CHUNKED, b"2\r\n{}\r\n0\r\nX-A: b\n\r\n" + SMUGGLED),
    "a trailer with NUL": _post(CHUNKED, b"2\r\n{}\r\n0\r\nX-A: \x00\r\n\r\n" + SMUGGLED),
    "a body's end in LF": _post(CHUNKED, b"2\r\n{}\r\n0\r\n\n" + SMUGGLED),
}

_FIRST_LINES = {
    "no version": b"GET /x\r\n\r\n",
    "no version and headers": b"GET /x\r\nHost: a\r\n\r\n",
    "a version of its own": b"GET /x HTTP/9.7\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a version of two digits": b"GET /x HTTP/1.10\r\nHost: a\r\n\r\n" + SMUGGLED,
    "HTTP/0.9": b"GET /x HTTP/0.9\r\nHost: a\r\n\r\n",
    "a version in small letters": b"GET /x http/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a version with a comma": b"GET /x HTTP/1,1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "another protocol": b"GET /x HTTPS/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a space behind the version": b"GET /x HTTP/1.1 \r\nHost: a\r\n\r\n" + SMUGGLED,
    "a method of no token": b"G(T /x HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a method in small letters": b"get /x HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a method that nobody knows": b"SMUGGLE /x HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "no method": b" /x HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a tab behind the method": b"GET\t/x HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target with a space": b"GET /x y HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target with a tab": b"GET /x\ty HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target with a control": b"GET /x\x01 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target with NUL": b"GET /x\x00 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target with DEL": b"GET /x\x7f HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target with CR": b"GET /x\rX-A:b HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "no target": b"GET HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target of an authority": b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target of an authority alone in a post": b"POST evil.example:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    + SMUGGLED,
    "a target that is a name": b"GET x HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target that is a question": b"GET ?x HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target of a user and a host": b"GET @evil.example/x HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a star in a get": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "two hosts": b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + SMUGGLED,
    "two equal hosts": b"GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n" + SMUGGLED,
    "no host": b"GET /x HTTP/1.1\r\n\r\n" + SMUGGLED,
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200,
    "a proxy's line": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + SMUGGLED,
    "a proxy's line in bytes": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + SMUGGLED,
    "nothing but line ends": b"\r\n" * 10 + b"\x00\r\n\r\n",
}

_RIGHT_BUT_RISKY = {
    # The RFCs allow these; a reader beside us may still take them otherwise, and no honest client sends them.
    "blanks behind chunked": _post(b"Transfer-Encoding: chunked \t\r\n", CHUNKS + SMUGGLED),
    "trailers that speak of framing": _post(
        CHUNKED, b"2\r\n{}\r\n0\r\nContent-Length: 38\r\nContent-Length: 0\r\n\r\n" + SMUGGLED
    ),
}

REFUSED: dict[str, bytes] = {**_LENGTHS, **_CODINGS, **_LINES, **_CHUNKS, **_FIRST_LINES, **_RIGHT_BUT_RISKY}
"""Answered 400, and the connection closed; nothing of it goes up."""

_TAKEN_BODIES = {
    "a length": Taken(_post(LENGTH, b"{}")),
    "a length of nought": Taken(POST.replace(b"POST", b"PUT") + b"Content-Length: 0\r\n\r\n", bodies=(b"",)),
    "a length with leading noughts": Taken(_post(b"Content-Length: 0002\r\n", b"{}")),
    "a length between blanks": Taken(_post(b"Content-Length: \t 2 \t\r\n", b"{}")),
    "a length without a blank": Taken(_post(b"Content-Length:2\r\n", b"{}")),
    "a length in capitals": Taken(_post(b"CONTENT-LENGTH: 2\r\n", b"{}")),
    "chunks": Taken(_post(CHUNKED, CHUNKS)),
    "chunked in capitals": Taken(_post(b"TRANSFER-ENCODING: CHUNKED\r\n", CHUNKS)),
    "chunked in both cases": Taken(_post(b"tRaNsFeR-EnCoDiNg: cHuNkEd\r\n", CHUNKS)),
    "blanks before chunked": Taken(_post(b"Transfer-Encoding: \t chunked\r\n", CHUNKS)),
    "chunks of one byte": Taken(_post(CHUNKED, b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")),
    "chunk sizes with noughts": Taken(_post(CHUNKED, b"0002\r\n{}\r\n000\r\n\r\n")),
    "a chunk size in capitals": Taken(_post(CHUNKED, b"A\r\n{        }\r\n0\r\n\r\n"), bodies=(b"{        }",)),
    "extensions": Taken(_post(CHUNKED, b'2;a=b;c="d e"\r\n{}\r\n0;last\r\n\r\n')),
    "an extension that looks like a chunk": Taken(_post(CHUNKED, b"2;0\r\n{}\r\n0\r\n\r\n")),
    "trailers": Taken(_post(CHUNKED, b"2\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n")),
    "line ends before the request": Taken(b"\r\n\r\n" + _post(LENGTH, b"{}")),
    "line ends behind the body": Taken(_post(LENGTH, b"{}\r\n") + _post(LENGTH, b"{}"), (200, 200), (b"{}", b"{}")),
}
_TAKEN_HEADS = {
    "an absolute target": Taken(b"POST http://evil.example/x HTTP/1.1\r\nHost: a\r\n" + LENGTH + b"\r\n{}"),
    "an absolute target with a user": Taken(
        b"POST http://u:p@evil.example/x HTTP/1.1\r\nHost: a\r\n" + LENGTH + b"\r\n{}"
    ),
    "a host of blanks": Taken(b"POST /x HTTP/1.1\r\nHost: \r\n" + LENGTH + b"\r\n{}"),
    "a host that is none": Taken(b"POST /x HTTP/1.1\r\nHost: a/b@c d\r\n" + LENGTH + b"\r\n{}"),
    "a host with a quote": Taken(b'POST /x HTTP/1.1\r\nHost: a";for=6.6.6.6\r\n' + LENGTH + b"\r\n{}"),
    "no host in HTTP/1.0": Taken(b"POST /x HTTP/1.0\r\n" + LENGTH + b"\r\n{}"),
    "names of every character that a token may hold": Taken(_post(b"!#$%&'*+-.^_`|~09azAZ: v\r\n" + LENGTH, b"{}")),
    "an empty value": Taken(_post(b"X-A:\r\nX-B: \r\nX-C: d\r\n" + LENGTH, b"{}")),
    "a value of high bytes": Taken(_post(b"X-A: \xe9\xff\r\n" + LENGTH, b"{}")),
    "a tab in a value": Taken(_post(b"X-A: b\tc\r\n" + LENGTH, b"{}")),
    "a colon in a value": Taken(_post(b"X-A:: b:c:\r\n" + LENGTH, b"{}")),
    "names that hide others behind an underscore": Taken(
        _post(b"Content_Length: 38\r\nTransfer_Encoding: chunked\r\nX_Forwarded_For: 6.6.6.6\r\n" + LENGTH, b"{}")
    ),
    "a connection header that names the framing": Taken(
        _post(b"Connection: keep-alive, Content-Length, Host, X-Forwarded-For\r\n" + LENGTH, b"{}")
    ),
    "hop-by-hop headers": Taken(
        _post(
            b"Connection: X-A\r\nX-A: b\r\nKeep-Alive: timeout=9\r\nProxy-Authorization: b\r\nTE: gzip\r\n" + LENGTH,
            b"{}",
        )
    ),
    "a client that asks to go on and does not wait": Taken(_post(b"Expect: 100-continue\r\n" + LENGTH, b"{}"), (200,)),
    "an expectation that nobody knows": Taken(_post(b"Expect: the-unexpected\r\n" + LENGTH, b"{}")),
    "a client that asks to go on without a body": Taken(
        b"PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n", bodies=(b"",)
    ),
    "an upgrade with a body": Taken(
        _post(b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + LENGTH, b"{}"),
    ),
    "an upgrade with a body that is a request": Taken(
        _post(b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: %d\r\n" % len(SMUGGLED), SMUGGLED),
        bodies=(SMUGGLED,),
        on_pages=False,
    ),
    "an upgrade with chunks": Taken(
        _post(b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + CHUNKED, CHUNKS),
    ),
    "an upgrade to HTTP/2": Taken(
        _post(
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n" + LENGTH,
            b"{}",
        ),
    ),
    "an upgrade to TLS": Taken(_post(b"Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n" + LENGTH, b"{}")),
    "an upgrade to nothing that there is": Taken(_post(b"Connection: Upgrade\r\nUpgrade: tcp\r\n" + LENGTH, b"{}")),
    "an upgrade without its connection header": Taken(_post(b"Upgrade: websocket\r\n" + LENGTH, b"{}")),
    "an upgrade in a get": Taken(
        b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", bodies=(b"",)
    ),
    "two requests at once": Taken(_post(LENGTH, b"{}") + _post(CHUNKED, CHUNKS), (200, 200), (b"{}", b"{}")),
    "a connect": Taken(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n" + SMUGGLED, (405,), ()),
    "a get with a body": Taken(b"GET /x HTTP/1.1\r\nHost: a\r\n" + LENGTH + b"\r\n{}"),
    "a head with a body": Taken(b"OPTIONS /x HTTP/1.1\r\nHost: a\r\n" + LENGTH + b"\r\n{}"),
}
BEHIND_CHUNKS = {
    "a request": _post(CHUNKED, CHUNKS) + SMUGGLED,
    "a trailer that becomes a header": _post(CHUNKED, b"2\r\n{}\r\n0\r\nX-Evil: 1\r\n\r\n") + SMUGGLED,
    "a trailer that becomes an address": _post(CHUNKED, b"2\r\n{}\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n") + SMUGGLED,
    "a trailer that becomes a cookie": _post(CHUNKED, b"2\r\n{}\r\n0\r\nX-A: b\r\nCookie: fs_uid=evil\r\n\r\n")
    + SMUGGLED,
    "a trailer that becomes a host": _post(CHUNKED, b"2\r\n{}\r\n0\r\nHost: evil.example\r\n\r\n") + SMUGGLED,
}
"""A chunked request is answered, and what stands behind it is not read: the connection ends."""


def _browser(*more: bytes, name: Callable[[bytes], bytes] = bytes) -> bytes:
    """What a recorder sends through a load balancer: the request that any fast path is made for."""
    lines = [
        b"Host: rs.example.com",
        b"Connection: keep-alive",
        b"Content-Length: 2",
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0",
        b"Content-Type: text/plain",
        b"Accept: */*",
        b"Origin: https://app.example.com",
        b"Accept-Encoding: gzip, deflate, br, zstd",
        b"Cookie: a=b; fs_uid=#o#u:s:1; c=d",
        b"X-Forwarded-For: 198.51.100.7",
        *more,
    ]
    named = [name(line.partition(b":")[0]) + b":" + line.partition(b":")[2] for line in lines]
    return b"POST /x HTTP/1.1\r\n" + b"\r\n".join(named) + b"\r\n\r\n{}"


_ORDINARY = {
    "a recorder's request": Taken(_browser()),
    "a recorder's request in small letters": Taken(_browser(name=bytes.lower)),
    "a recorder's request in capitals": Taken(_browser(name=bytes.upper)),
    "two of them": Taken(_browser() * 2, (200, 200), (b"{}", b"{}")),
    "cookies and origins twice": Taken(_browser(b"Cookie: fs_uid=#o#v:t:2", b"Origin: https://b.example.com")),
    "a longer chain of addresses": Taken(
        _browser(b"X-Forwarded-For: 127.0.0.1, 203.0.113.9, 127.0.0.2", b"X-Forwarded-Proto: https", b"X-Request-Id: x")
    ),
    "addresses that are none": Taken(_browser(b"X-Forwarded-For: 1.2.3.4:x, <script>, ::1%eth0", b"Forwarded: for=_a")),
    "an origin that is none": Taken(_browser(b"Origin: null").replace(b"Origin: https://app.example.com\r\n", b"")),
    "an agent of odd bytes": Taken(_browser(b"X-B: c").replace(b"Mozilla", b"\xff\xc3\x28 \tM")),
    "a length that is no length": Taken(_browser(b"X-Content-Length: 99", b"Content-Lengthy: 99")),
}
POISONED = {
    "a poisoned second request": Taken(
        _post(LENGTH, b"{}") + _post(b"Content-Length: 0\r\n" + CHUNKED, b"0\r\n\r\n" + SMUGGLED), (200, 400)
    ),
    "a poisoned third request": Taken(
        _post(LENGTH, b"{}") * 2 + b"GET /x HTTP/1.1\r\nX-A : b\r\n\r\n" + SMUGGLED, (200, 200, 400), (b"{}", b"{}")
    ),
    "a body longer than its length": Taken(_post(LENGTH, b"{}xxxxx\r\n\r\n" + SMUGGLED), (200, 400)),
    "a body that nobody announced": Taken(
        POST + b"Content-Length: 0\r\n\r\n{}\r\n" + SMUGGLED, (200, 400), (b"",), on_pages=False
    ),
    "chunks and more behind them": Taken(_post(CHUNKED, CHUNKS + b"2\r\n{}\r\n0\r\n\r\n" + SMUGGLED), (200, 400)),
    "a bad request behind one of another protocol": Taken(
        # The parser knows RTSP, which has methods of the same names: it is answered as HTTP/1.0, and is the last.
        POST.replace(b"HTTP/1.1", b"RTSP/1.0") + LENGTH + b"\r\n{}" + SMUGGLED,
        (200, 400),
    ),
    "a request behind the last one": Taken(_post(b"Connection: close\r\n" + LENGTH, b"{}" + SMUGGLED), (200, 400)),
}
"""A good request with a bad one behind it. What came in one piece may be refused as one: a parser that fails says
nothing of what it had read. So of the answers any number of the first may be missing, never one in between."""
TAKEN: dict[str, Taken] = {**_TAKEN_BODIES, **_TAKEN_HEADS, **_ORDINARY}
