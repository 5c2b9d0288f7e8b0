"""The upstream behind every proxy: ``upstream.py PORT`` answers by path, as cheaply as Python can. Port 0 is any.

It prints the port. A page is answered as recorders' backends do: with the session, user and page that it named, and
``IsNewSession`` true only for a visitor who had none. An answer with other ids would make every page a new session.
"""

from __future__ import annotations

import json
import re
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import frames

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_UUID = "00000000-0000-4000-8000-%s"
_SESSION, _USER, _PAGE = (_UUID % (letter * 12) for letter in "def")
_AT_ONCE = 256 * 1024
_ID = 36
"""Bytes of a UUID."""


def _answer(body: dict[str, object]) -> bytes:
    data = json.dumps(body, separators=(",", ":")).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
        "Access-Control-Allow-Origin: https://www.example.com\r\nAccess-Control-Allow-Credentials: true\r\n"
        f"Vary: Origin\r\nCache-Control: no-store\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def _page_parts(*, new: bool) -> list[bytes]:
    """Return what is around user, session and page in an answer."""
    fields: dict[str, object] = {
        "Consented": False,
        "CookieDomain": "example.com",
        "UserUUID": _USER,
        "SessionUUID": _SESSION,
        "PageUUID": _PAGE,
        "PageStart": 1795287301510,
        "IsNewSession": new,
        "Flags": {"UseClientSideId": True, "UseStaticSettings": True, "UseCompression": True},
        "BundleUploadIntervalMS": 5000,
    }
    return re.split(f"{_USER}|{_SESSION}|{_PAGE}".encode(), _answer(fields))


NEW, KNOWN = _page_parts(new=True), _page_parts(new=False)
BUNDLE = _answer({"BundleTime": 1795287301510})
OTHER = _answer({})
FRAME = frames.frame(frames.TEXT, b'{"Cmd":5,"Seq":1,"Bundle":{"BundleTime":1795287301510}}', masked=False)


class Connection:
    """One connection of a proxy's."""

    __slots__ = ("_buffer", "_is_socket", "_left", "_reply", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        self._is_socket = False
        self._left = 0
        """Bytes of a body that are still to come."""
        self._reply = b""

    def take(self, data: bytes) -> None:
        """Part of a request, or one; never more than one. Raises OSError when the proxy is gone."""
        if self._left:
            self._left -= len(data)
            if self._left <= 0:
                self._sock.sendall(self._reply)
            return
        if self._buffer:
            data = self._buffer + data
        if self._is_socket:
            self._answer_frames(data)
            return
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            self._buffer = data
            return
        length = _LENGTH.search(data, 0, end)
        left = end + (int(length[1]) if length else 0) - len(data)
        is_page = data.startswith(b"POST /rec/page")
        if is_page and left > 0:
            self._buffer = data
            return
        self._buffer = b""
        if is_page:
            self._reply = page_answer(data, end)
        elif data.startswith(b"GET /rec/sock"):
            self._is_socket = True
            self._reply = frames.accepted(data)
        else:
            self._reply = BUNDLE if data.startswith(b"POST /rec/") else OTHER
        self._left = max(left, 0)
        if left <= 0:
            self._sock.sendall(self._reply)

    def _answer_frames(self, data: bytes) -> None:
        while (found := frames.first(data)) is not None:
            opcode, length = found
            data = data[length:]
            if opcode == frames.TEXT:
                self._sock.sendall(FRAME)
            elif opcode == frames.CLOSE:
                self._sock.shutdown(socket.SHUT_WR)
        self._buffer = data


def page_answer(data: bytes, body: int) -> bytes:
    """Return the answer to a page, whose body begins at ``body``."""
    user = _id(data, b'"UserId":"', body)
    parts = KNOWN if user else NEW
    session, page = _id(data, b'"SessionId":"', body), _id(data, b'"PageId":"', body)
    return b"".join((parts[0], user or _USER.encode(), parts[1], session, parts[2], page, parts[3]))


def _id(data: bytes, name: bytes, body: int) -> bytes:
    at = data.find(name, body) + len(name)
    return b"" if data[at : at + 1] == b'"' else data[at : at + _ID]


def serve(listener: socket.socket) -> None:
    """Answer until the process is ended."""
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    accepting = listener.fileno()
    connections: dict[int, tuple[socket.socket, Connection]] = {}
    while True:
        for number, _ in poll.poll():
            if number == accepting:
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[sock.fileno()] = sock, Connection(sock)
                poll.register(sock, select.EPOLLIN)
                continue
            sock, connection = connections[number]
            data = b""
            with suppress(OSError):
                data = sock.recv(_AT_ONCE)
                if data:
                    connection.take(data)
            if not data:
                del connections[number]
                sock.close()


@dataclass(frozen=True, slots=True)
class Upstream:
    """One that runs."""

    port: int
    pid: int


@contextmanager
def running_upstream(port: int = 0) -> Iterator[Upstream]:
    """The upstream as a process of its own, on the cores of this one."""
    command = [sys.executable, str(Path(__file__)), str(port)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        try:
            yield Upstream(int(child.stdout.readline()), child.pid)
        finally:
            child.kill()


def main() -> None:
    """Print the port and serve."""
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024) as listener:
        print(listener.getsockname()[1], flush=True)
        serve(listener)


if __name__ == "__main__":
    main()
