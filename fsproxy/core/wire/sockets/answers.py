"""An upstream's answers to a recorder's frames (wire.md 7)."""

from __future__ import annotations

from typing import Any

import msgspec

from fsproxy.core.pipeline import PageAnswer
from fsproxy.core.wire.page import read_page_answer
from fsproxy.core.wire.sockets.frames import Command, Seq

_NOTHING = msgspec.Raw()


class SocketAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer to one frame of a recorder."""

    seq: Seq
    page: PageAnswer
    """What the answer means to the limits, if the frame was a page."""


class _Frame(msgspec.Struct, gc=False, rename="pascal"):
    cmd: Any = None
    seq: Any = None
    page: msgspec.Raw = _NOTHING
    fail: msgspec.Raw = _NOTHING


class _Fail(msgspec.Struct, gc=False, rename="pascal"):
    status: Any = None
    error: Any = None


_read = msgspec.json.Decoder(_Frame).decode
_read_fail = msgspec.json.Decoder(_Fail).decode
_SUCCESS, _TAKEN = frozenset({Command.BUNDLE_ANSWER, Command.EVENT_ANSWER}), PageAnswer(200)


def read_answer(text: bytes) -> SocketAnswer | None:
    """Return the answer in an upstream's message; None where it is none. Never raise."""
    try:
        found = _read(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    seq = found.seq if isinstance(found.seq, (str, int, float)) else None
    if type(found.cmd) not in (int, float):
        return None
    if found.cmd in _SUCCESS:
        return SocketAnswer(seq, _TAKEN)
    if found.cmd == Command.PAGE_ANSWER:
        return SocketAnswer(seq, read_page_answer(200, bytes(found.page)))
    return SocketAnswer(seq, _failed(bytes(found.fail))) if found.cmd == Command.FAIL else None


def _failed(content: bytes) -> PageAnswer:
    try:
        fail = _read_fail(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return PageAnswer(0)
    # A failure with the status of a success is still one.
    known = type(fail.status) is int and 200 < fail.status < 1000
    error = fail.error.encode() if isinstance(fail.error, str) else b""
    return read_page_answer(fail.status if known else 0, error)
