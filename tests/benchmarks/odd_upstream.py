"""An upstream that keeps every byte of each request, and answers in many spellings, by the mark of the case."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import frames
from head_corpus import ATTEMPT

MARK = re.compile(rb"k\d{8}")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade: *websocket\r\n", re.IGNORECASE)
_IDS = re.compile(rb'"(SessionId|PageId)":"([^"]*)"')
_PROBE = re.compile(rb"^GET /s/probe\?(k\d{8}) ")
MADE_UP = "00000000-0000-4000-8000-00000000aaaa"


def done(mark: bytes) -> bytes:
    """The body of the answer to a probe."""
    return b"done with %b" % mark


def _plain(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _with(start: bytes, *lines: bytes) -> Callable[[bytes], bytes]:
    """An answer of these lines, in which ``%d`` stands for the length."""
    head = b"\r\n".join((start, *lines)) + b"\r\n\r\n"
    return lambda body: head.replace(b"%d", b"%d" % len(body)) + body


def _chunks(extra: bytes = b"", end: bytes = b"0\r\n\r\n") -> Callable[[bytes], bytes]:
    def answer(body: bytes) -> bytes:
        middle = len(body) // 2
        parts = b"".join(
            b"%x%b\r\n%b\r\n" % (len(part), extra, part) for part in (body[:middle], body[middle:]) if part
        )
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + end

    return answer


_OK = b"HTTP/1.1 200 OK"
_SIZE = b"Content-Length: %d"
ODD_ANSWERS: tuple[Callable[[bytes], bytes], ...] = (
    _chunks(),
    _chunks(extra=b";a=b"),
    _chunks(end=b"0\r\nX-Trailer: a\r\n\r\n"),
    lambda _: b"HTTP/1.1 204 No Content\r\nETag: a\r\n\r\n",
    lambda _: b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nVary: Origin\r\n\r\n',
    _with(_OK, _SIZE, b"Connection: close"),
    _with(_OK, b"Content-Type: application/json", b"Connection: close"),
    _with(b"HTTP/1.0 200 OK", _SIZE),
    _with(b"HTTP/1.0 200 OK", _SIZE, b"Connection: keep-alive"),
    _with(b"HTTP/1.1 200", b"content-LENGTH:%d", b"X-a:b", b"x-A:  c  ", b"X-Empty:"),
    _with(
        b"HTTP/1.1 299 Odd \xe9 reason",
        b"CONTENT-LENGTH: %d",
        b"X-Latin: caf\xe9",
        b"Set-Cookie: a=1",
        b"Set-Cookie: b=2",
    ),
    _with(
        _OK,
        _SIZE,
        b"Connection: X-Private",
        b"X-Private: 1",
        b"Keep-Alive: timeout=5",
        b"Date: Mon, 30 Nov 2026 00:00:00 GMT",
    ),
    _with(
        _OK, _SIZE, b"Access-Control-Allow-Origin: https://www.example.com", b"Access-Control-Allow-Credentials: true"
    ),
    _with(
        _OK, _SIZE, b"Access-Control-Expose-Headers: X-B", b"Access-Control-Allow-Origin: *", b"X-Request-Id: theirs"
    ),
    _with(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK", _SIZE),
    _with(b"HTTP/1.1 503 Service Unavailable", _SIZE, b"Retry-After: 7"),
    _with(b"HTTP/1.1 302 Found", _SIZE, b"Location: /elsewhere", b"X-Long: " + b"a" * 3000),
    _with(b"HTTP/1.1 202 Accepted", _SIZE, b"Content-Type: application/json; charset=utf-8"),
    _with(_OK, _SIZE, b"X-Folded: a\r\n b"),
    _with(_OK, b"Content-Length : %d"),
    _with(_OK, _SIZE, b"Transfer-Encoding: chunked"),
    _with(_OK, _SIZE, _SIZE),
    _with(_OK, b"Content-Length: %d, %d"),
    _with(_OK, _SIZE, b"X-A: b\x01"),
    _with(b"HTTP/1.1 2000 OK", _SIZE),
    _with(b"HTTP/1.1 200 OK\nContent-Length: %d"),
    _with(_OK, _SIZE, b"no colon"),
    _with(_OK, _SIZE, b"X-Latin-\xe9: a", b"X_Under: b"),
)
"""Some are right and some are not; what a client gets of them is compared, not judged."""


@dataclass
class Journal:
    """What came up from one program, by the mark of the case; None: without one."""

    requests: dict[bytes | None, list[bytes]] = field(default_factory=dict)
    open: set[Recording] = field(default_factory=set)
    """Connections with a part of a request."""

    def note(self, data: bytes) -> None:
        """Keep a request, or a part of one whose connection ended."""
        found = MARK.search(data)
        self.requests.setdefault(found[0] if found else None, []).append(data)


class Recording(asyncio.Protocol):
    """One connection of a program's."""

    __slots__ = ("_buffer", "_is_socket", "_journal", "_transport")

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._buffer = b""
        self._is_socket = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_socket:
            end = self._buffer.index(b"\r\n\r\n") + 4
            self._journal.note(b"(socket) " + self._buffer[:end] + unmasked(self._buffer[end:]))
        elif self._buffer:
            self._journal.note(b"(cut) " + self._buffer)
        self._journal.open.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._buffer and not self._is_socket:
            taken = self._take()
            if taken is None:
                break
        if self._buffer:
            self._journal.open.add(self)
        else:
            self._journal.open.discard(self)

    def _take(self) -> bytes | None:
        """Answer the first request if it is whole."""
        data = self._buffer
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            return None
        head = data[:end]
        body: bytes | None
        if _CHUNKED.search(head):
            whole = unchunked(data, end)
            if whole is None:
                return None
            body, end = whole
            body = b"(chunked) " + body
        else:
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            if len(data) < end + length:
                return None
            body, end = data[end : end + length], end + length
        if _UPGRADE.search(head):
            # From here on the bytes stay in the buffer, and are noted when the connection ends.
            self._is_socket = True
            self._transport.write(frames.accepted(head))
            return head
        self._buffer = data[end:]
        self._journal.note(head + body)
        self._answer(head, body)
        return head

    def _answer(self, head: bytes, body: bytes) -> None:
        if probe := _PROBE.match(head):
            self._transport.write(_plain(done(probe[1])))
            return
        found = MARK.search(head + body)
        choice = int(found[0][1:]) % ATTEMPT * 7919 % (2 * len(ODD_ANSWERS)) if found else len(ODD_ANSWERS)
        make = ODD_ANSWERS[choice] if choice < len(ODD_ANSWERS) else _plain
        given = dict(_IDS.findall(body))
        page = {
            "SessionUUID": given.get(b"SessionId", b"").decode("latin-1") or MADE_UP,
            "UserUUID": MADE_UP,
            "PageUUID": given.get(b"PageId", b"").decode("latin-1") or MADE_UP,
            "IsNewSession": choice % 2 == 0,
        }
        answer = make(json.dumps(page if head.startswith(b"POST /rec/page") else {"BundleTime": 1}).encode())
        first, _, rest = answer.partition(b"\r\n\r\n")
        if first.startswith(b"HTTP/1.1 103"):
            first, _, rest = (first + b"\r\n\r\n" + rest).rpartition(b"\r\n\r\n")
        self._transport.write(first + b"\r\n\r\n" + (b"" if head.startswith(b"HEAD ") else rest))
        if b"\r\nConnection: close" in first or (first.startswith(b"HTTP/1.0") and b"keep-alive" not in first):
            self._transport.close()


def unmasked(data: bytes) -> bytes:
    """Return frames with their payload in clear, without the random mask."""
    clear = b""
    while (found := frames.first(data)) is not None:
        whole = found[1]
        length = data[1] & 0x7F
        begin = {126: 4, 127: 10}.get(length, 2)
        if data[1] & 0x80:
            mask, begin = data[begin : begin + 4], begin + 4
            payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data[begin:whole]))
            clear += data[: begin - 4] + b"(mask)" + payload
        else:
            clear += data[:whole]
        data = data[whole:]
    return clear + data


def unchunked(data: bytes, at: int) -> tuple[bytes, int] | None:
    """Return the body and where it ends; None while it is not whole. Trailers and extensions are kept as they are."""
    parts = []
    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            return None
        size, _, extension = data[at:line_end].partition(b";")
        length = int(size, 16)
        if extension:
            parts.append(b"(;%b)" % extension)
        if length == 0:
            end = data.find(b"\r\n\r\n", line_end)
            return (b"".join((*parts, data[line_end:end])), end + 4) if end >= 0 else None
        if len(data) < line_end + 4 + length:
            return None
        parts.append(data[line_end + 2 : line_end + 2 + length])
        at = line_end + 4 + length
