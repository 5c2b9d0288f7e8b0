"""Answers that no upstream should give, as data: the mirror of hostile_requests.py.

An upstream may be broken, or be somebody else's. What it says must never become a second answer, an answer that only
looks whole, or a header of ours.
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD = b"HTTP/1.1 200 OK\r\n"
LENGTH = HEAD + b"Content-Length: 2\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
"""Stands behind some of them: it must be nobody's answer."""


@dataclass(frozen=True, slots=True)
class Passed:
    """An answer that is odd and right."""

    sent: bytes
    status: int = 200
    body: bytes = b"ok"


_FRAMING = {
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
    "two equal lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "a list of lengths": HEAD + b"Content-Length: 2, 2\r\n\r\nok",
    "length and chunked": LENGTH + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked and length": CHUNKED + b"Content-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a negative length": HEAD + b"Content-Length: -2\r\n\r\nok",
    "a length with a plus": HEAD + b"Content-Length: +2\r\n\r\nok",
    "a hexadecimal length": HEAD + b"Content-Length: 0x2\r\n\r\nok",
    "a length with a letter": HEAD + b"Content-Length: 2b\r\n\r\nok",
    "a length with an underscore": HEAD + b"Content-Length: 1_0\r\n\r\nok",
    "a huge length": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nok",
    "a length behind a vertical tab": HEAD + b"Content-Length: \x0b2\r\n\r\nok",
    "a length with a space before its colon": HEAD + b"Content-Length : 2\r\n\r\nok",
    "a folded length": HEAD + b"Content-Length:\r\n 2\r\n\r\nok",
    "chunked is not last": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a coding beside chunked": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "identity": HEAD + b"Transfer-Encoding: identity\r\n\r\nok",
    "an empty coding": HEAD + b"Transfer-Encoding: \r\n\r\nok",
    "chunked behind a vertical tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked twice": CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
}
_LINES = {
    "a space before a colon": LENGTH + b"X-A : b\r\n\r\nok",
    "a folded line": LENGTH + b"X-A: b\r\n c\r\n\r\nok",
    "a folded first line": HEAD + b" X-A: b\r\nContent-Length: 2\r\n\r\nok",
    "a line without a colon": LENGTH + b"no colon\r\n\r\nok",
    "an empty name": LENGTH + b": b\r\n\r\nok",
    "a space inside a name": LENGTH + b"X A: b\r\n\r\nok",
    "a high byte in a name": LENGTH + b"X-\xe9: b\r\n\r\nok",
    "NUL in a name": LENGTH + b"X-\x00: b\r\n\r\nok",
    "NUL in a value": LENGTH + b"X-A: b\x00c\r\n\r\nok",
    "a control in a value": LENGTH + b"X-A: b\x01c\r\n\r\nok",
    "CR in a value": LENGTH + b"X-A: b\rX-C: d\r\n\r\nok",
    "LF in a value": LENGTH + b"X-A: b\nX-C: d\r\n\r\nok",
    "CR CR LF": LENGTH + b"X-A: b\r\r\n\r\nok",
    "lines that end in LF alone": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a head that ends in LF alone": LENGTH + b"\nok",
}
_FIRST_LINES = {
    "garbage": b"\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "another protocol of the same form": b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a version of its own": b"HTTP/7.3 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/2": b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a version in small letters": b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a status with a letter": b"HTTP/1.1 2OO OK\r\nContent-Length: 2\r\n\r\nok",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "a negative status": b"HTTP/1.1 -200 OK\r\nContent-Length: 2\r\n\r\nok",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok",
    "CR in the reason": b"HTTP/1.1 200 O\rK: X\r\nContent-Length: 2\r\n\r\nok",
    "LF in the reason": b"HTTP/1.1 200 O\nX-A: b\r\nContent-Length: 2\r\n\r\nok",
    "a status below 100": b"HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\n" + FORGED,
    "a status of noughts": b"HTTP/1.1 000 Odd\r\n\r\n" + FORGED,
    "a status of 600": b"HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\nok",
    "a status of 999": b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok",
    "a whole version of HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a version from before headers": b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a later version": b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a version of two digits": b"HTTP/1.10 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "RTSP": b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "ICE": b"ICE/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "two spaces before the status": b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a tab before the status": b"HTTP/1.1\t200 OK\r\nContent-Length: 2\r\n\r\nok",
    "no space after the status": b"HTTP/1.1 200OK\r\nContent-Length: 2\r\n\r\nok",
    "a space before the version": b" HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "NUL in the reason": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 2\r\n\r\nok",
    "an escape in the reason": b"HTTP/1.1 200 \x1b[2J\r\nContent-Length: 2\r\n\r\nok",
    "DEL in the reason": b"HTTP/1.1 200 O\x7fK\r\nContent-Length: 2\r\n\r\nok",
    "another version behind hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/2.0 200 OK\r\n"
    b"Content-Length: 2\r\n\r\nok",
    "another protocol behind a continue": b"HTTP/1.1 100 Continue\r\n\r\nRTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "hints of another version": b"HTTP/2.0 103 Early Hints\r\n\r\n" + LENGTH + b"\r\nok",
    "a continue of a low status": b"HTTP/1.1 010 Continue\r\n\r\n" + LENGTH + b"\r\nok",
    "chunks of HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "an upgrade that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
    + FORGED,
}
_FLOODS = {
    "headers without end": HEAD + b"X-A: %b\r\n" % (b"a" * 1000) * 200,
    "a header line without end": HEAD + b"X-A: " + b"a" * 200_000,
    "a name without end": HEAD + b"X" * 200_000,
    "a reason without end": b"HTTP/1.1 200 " + b"a" * 200_000,
    "line ends without end": b"\r\n" * 100_000,
    "informational answers without end": b"HTTP/1.1 102 Processing\r\n\r\n" * 100,
    "hints without end": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100,
}
INVALID: dict[str, bytes] = {**_FRAMING, **_LINES, **_FIRST_LINES, **_FLOODS}
"""Their head shows it: always 502."""

BROKEN: dict[str, bytes] = {
    "shorter than its length": HEAD + b"Content-Length: 10\r\n\r\nsome",
    "nothing of its body": HEAD + b"Content-Length: 10\r\n\r\n",
    "half a chunk": CHUNKED + b"\r\n10\r\nsome",
    "an end between chunks": CHUNKED + b"\r\n4\r\nsome\r\n",
    "an end before the last line": CHUNKED + b"\r\n4\r\nsome\r\n0\r\n",
    "an end within the trailers": CHUNKED + b"\r\n4\r\nsome\r\n0\r\nX-A: b\r\n",
    "a chunk size that is none": CHUNKED + b"\r\n4\r\nsome\r\nZZ\r\nx\r\n0\r\n\r\n",
    "a chunk size with a plus": CHUNKED + b"\r\n4\r\nsome\r\n+1\r\nx\r\n0\r\n\r\n",
    "a chunk size with a prefix": CHUNKED + b"\r\n4\r\nsome\r\n0x1\r\nx\r\n0\r\n\r\n",
    "a chunk size that wraps": CHUNKED + b"\r\n4\r\nsome\r\n10000000000000001\r\nx\r\n0\r\n\r\n",
    "a chunk that is longer than it says": CHUNKED + b"\r\n3\r\nsome\r\n0\r\n\r\n",
    "a chunk that ends in LF": CHUNKED + b"\r\n4\r\nsome\n0\r\n\r\n",
    "a chunk line that ends in LF": CHUNKED + b"\r\n4\nsome\r\n0\r\n\r\n",
    "LF in an extension": CHUNKED + b"\r\n4;a\nsome\r\n0\r\n\r\n",
    "a trailer that speaks of framing": CHUNKED + b"\r\n4\r\nsome\r\n0\r\nContent-Length: 9\r\n\r\n",
    "a trailer that is no header": CHUNKED + b"\r\n4\r\nsome\r\n0\r\nno colon\r\n\r\n",
    "a trailer with a space before its colon": CHUNKED + b"\r\n4\r\nsome\r\n0\r\nX-A : b\r\n\r\n",
}
"""Their head may have gone on before it shows: 502, or a client's connection that breaks. Never an answer that
looks whole."""

PASSED: dict[str, Passed] = {
    "a length": Passed(LENGTH + b"\r\nok"),
    "chunks": Passed(CHUNKED + b"\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"),
    "extensions and trailers": Passed(CHUNKED + b"\r\n2;a=b\r\nok\r\n0;c\r\nX-Evil: 1\r\nSet-Cookie: evil=1\r\n\r\n"),
    "chunked in capitals": Passed(HEAD + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    "a length with noughts": Passed(HEAD + b"Content-Length: 002\r\n\r\nok"),
    "no space before no reason": Passed(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"),
    "a tab in the reason": Passed(b"HTTP/1.1 200 a\tb\r\nContent-Length: 2\r\n\r\nok"),
    "an empty line before it": Passed(b"\r\n" + LENGTH + b"\r\nok"),
    "the highest status": Passed(b"HTTP/1.1 599 Odd\r\nContent-Length: 2\r\n\r\nok", 599),
    "no reason": Passed(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok"),
    "a reason of high bytes": Passed(b"HTTP/1.1 200 \xe9\xff\r\nContent-Length: 2\r\n\r\nok"),
    "no body in 204": Passed(b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "no body in 304, whatever its length": Passed(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", 304, b""),
    "a body in 204 that belongs to nobody": Passed(b"HTTP/1.1 204 No Content\r\n\r\n" + FORGED, 204, b""),
    "a body in 304 that belongs to nobody": Passed(b"HTTP/1.1 304 Not Modified\r\n\r\n" + FORGED, 304, b""),
    "a second answer behind the first": Passed(LENGTH + b"\r\nok" + FORGED),
    "a second answer behind the last chunk": Passed(CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n" + FORGED),
    "more than its length": Passed(LENGTH + b"\r\nokforged"),
    "more than the last of the connection": Passed(LENGTH + b"Connection: close\r\n\r\nok" + FORGED),
    "hints before it": Passed(
        b"HTTP/1.1 103 Early Hints\r\nX-Evil: 1\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + LENGTH + b"\r\nok"
    ),
    "an offer to upgrade": Passed(LENGTH + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\nok"),
    "hop-by-hop headers": Passed(
        LENGTH + b"Connection: X-Evil\r\nX-Evil: 1\r\nProxy-Authenticate: Basic\r\nKeep-Alive: timeout=9\r\n\r\nok"
    ),
    "headers that are ours": Passed(LENGTH + b"X-Request-Id: evil\r\nFSProxy-Rejected: 7\r\n\r\nok"),
    "HTTP/1.0": Passed(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
}
"""They are answers; ``forged`` and ``evil`` stand in what no client may see."""
