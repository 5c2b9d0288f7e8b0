"""The upstream behind every proxy: fixed answers, from the load generator's own loop and core."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Iterator
from functools import partial
from typing import cast

import frames

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_UUID = "00000000-0000-4000-8000-%s"
_MARK = "cccccccccccc"


def _answer(body: dict[str, object]) -> bytes:
    data = json.dumps(body, separators=(",", ":")).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nAccess-Control-Allow-Origin: https://www.example.com\r\n"
        f"Access-Control-Allow-Credentials: true\r\nVary: Origin\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


PAGE_BEFORE, PAGE_BETWEEN, PAGE_AFTER = _answer(
    {
        "Consented": False,
        "CookieDomain": "example.com",
        "UserUUID": _UUID % ("a" * 12),
        "SessionUUID": _UUID % _MARK,
        "PageUUID": _UUID % _MARK,
        "PageStart": 1795287301510,
        "IsNewSession": True,
        "Flags": {"UseClientSideId": True, "UseStaticSettings": True, "UseCompression": True},
        "BundleUploadIntervalMS": 5000,
    }
).split(_MARK.encode())
BUNDLE = _answer({"BundleTime": 1795287301510})
OTHER = _answer({})
FRAME = frames.frame(frames.TEXT, b'{"Cmd":5,"Seq":1,"Bundle":{"BundleTime":1795287301510}}', masked=False)


class FixedAnswers(asyncio.Protocol):
    """Reads a request by its Content-Length and answers by its path. A page gets a session of its own."""

    __slots__ = ("_buffer", "_is_socket", "_left", "_numbers", "_reply", "_transport")

    def __init__(self, numbers: Iterator[int]) -> None:
        """``numbers``: of the sessions that pages get, in turn."""
        self._numbers = numbers
        self._buffer = b""
        self._is_socket = False
        self._left = 0
        self._reply = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """One connection of a proxy's."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        """Part of a request, or one; never more than one."""
        if self._is_socket:
            self._answer_frames(data)
            return
        if self._left:
            self._left -= len(data)
        else:
            if self._buffer:
                data = self._buffer + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            self._buffer = b""
            self._begin(data, end)
        if self._left == 0:
            self._transport.write(self._reply)
        elif self._left < 0:
            self._transport.abort()

    def _begin(self, data: bytes, end: int) -> None:
        length = _LENGTH.search(data, 0, end)
        self._left = end + 4 + (int(length[1]) if length else 0) - len(data)
        if data.startswith(b"GET /rec/sock"):
            self._is_socket = True
            self._reply = frames.accepted(data)
        elif data.startswith(b"POST /rec/page"):
            number = b"%012x" % next(self._numbers)
            self._reply = b"".join((PAGE_BEFORE, number, PAGE_BETWEEN, number, PAGE_AFTER))
        elif data.startswith(b"POST /rec/"):
            self._reply = BUNDLE
        else:
            self._reply = OTHER

    def _answer_frames(self, data: bytes) -> None:
        data = self._buffer + data
        while (found := frames.first(data)) is not None:
            opcode, length = found
            data = data[length:]
            if opcode == frames.TEXT:
                self._transport.write(FRAME)
            elif opcode == frames.CLOSE:
                self._transport.close()
        self._buffer = data


async def start_upstream(port: int, *, one_session: bool = False) -> asyncio.Server:
    """Listens on 127.0.0.1; port 0 is any. ``one_session``: every page gets the same one, so that none is new."""
    numbers = itertools.repeat(1) if one_session else itertools.count(1 << 40)
    protocol = partial(FixedAnswers, numbers)
    return await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port, backlog=1024)
