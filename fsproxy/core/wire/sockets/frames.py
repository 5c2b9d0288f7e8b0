"""The frames of a recorder's socket: JSON messages with a ``Cmd`` (wire.md 7)."""

from __future__ import annotations

import re
from enum import IntEnum, unique
from typing import Any

import msgspec

from fsproxy.core.client_api.reading.splitting import split_events
from fsproxy.core.json.scanner import ScanError, Span
from fsproxy.core.wire.one_reading import by_fold, whole_places

LONGEST_SEQ = 64
"""Bytes of a ``Seq`` that is sent back; recorders count from 1."""
AT_ONCE = 1024 * 1024
"""Bytes of a frame that are read in one step, for which all threads wait at most 5 ms."""
KEPT = 128
"""Bytes that are kept at each end of a message that is too large; ``Cmd`` and ``Seq`` are in them."""

Seq = int | float | str | None
"""The number of a frame, by which its answer is recognised."""


@unique
class Command(IntEnum):
    """The ``Cmd`` of a frame."""

    PAGE = 1
    BUNDLE = 2
    FAIL = 3
    PAGE_ANSWER = 4
    BUNDLE_ANSWER = 5
    EVENT = 6
    EVENT_ANSWER = 7

    @property
    def is_request(self) -> bool:
        """A recorder sends it and waits for an answer."""
        return self in _REQUESTS


_REQUESTS = frozenset({Command.PAGE, Command.BUNDLE, Command.EVENT})
_COMMANDS: dict[object, Command] = {int(each): each for each in Command}


class SocketFrame(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A recorder's frame."""

    command: Command
    seq: Seq = None
    raw_seq: bytes = b"null"
    """The bytes of ``Seq``, to be sent back."""
    place: Span = (0, 0)
    """The place of the JSON of its ``Page`` or ``Bundle`` in the message; empty without one."""


_NAMES = by_fold(("Cmd", "Seq", "Page", "Bundle"))
# As recorders of all four generations write it, without a blank.
_START = re.compile(rb'\{"Cmd":([126]),"(Page|Bundle)":')
_END = re.compile(rb',"Seq":(-?[0-9]{1,15})\}\Z')
_LONGEST_END = 32
_check = msgspec.json.Decoder(msgspec.Raw).decode
_read_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


def read_frame(text: bytes) -> SocketFrame | None:
    """Return a recorder's frame; None for any other text: no object, or no ``Cmd`` that a recorder sends.

    Raise UnclearError for a frame that two readers could read in two ways (rules.md 4).
    """
    start, end = _START.match(text), _END.search(text, max(0, len(text) - _LONGEST_END))
    if start is not None and end is not None:
        command, place = Command(int(start[1])), (start.end(), end.start())
        # If all between the two matches is a single value, then the frame has no other members.
        if (command is Command.PAGE) == (start[2] == b"Page") and _is_one_value(text, place):
            return SocketFrame(command=command, seq=int(end[1]), raw_seq=end[1], place=place)
    return _scanned(text)


def _is_one_value(text: bytes, place: Span) -> bool:
    """Return whether the text at ``place`` is one JSON value, as far as a strict reader knows.

    False may also mean unpaired surrogates, or too much depth: then the scanner decides.
    """
    if place[1] - place[0] > AT_ONCE:
        return end_of_bundle(text[place[0] : place[1]]) is not None
    try:
        _check(memoryview(text)[place[0] : place[1]])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def _scanned(text: bytes) -> SocketFrame | None:
    try:
        places = whole_places(text, _NAMES)
    except ScanError:
        return None
    start, end = places.get("Cmd", (0, 0))
    command = _command(value_of(text[start:end], LONGEST_SEQ))
    if command is None or not command.is_request:
        return None
    start, end = places.get("Seq", (0, 0))
    seq, raw_seq = _seq(text[start:end])
    place = places.get("Page" if command is Command.PAGE else "Bundle", (0, 0))
    return SocketFrame(command=command, seq=seq, raw_seq=raw_seq, place=place)


def value_of(raw: bytes, longest: int) -> Any:
    """Return a JSON value; None for one that cannot be read, or has more than ``longest`` bytes."""
    if len(raw) > longest:
        return None
    try:
        return _read_any(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _command(value: Any) -> Command | None:
    """Compare as a number, as loosely as any reader could: ``2.0``, ``"2"``; ``true`` equals 1 in some languages."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return _COMMANDS.get(value) if isinstance(value, int | float) else None


def _seq(raw: bytes) -> tuple[Seq, bytes]:
    value = value_of(raw, LONGEST_SEQ)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value, raw
    return None, b"null"


BUNDLE_FIRST = b'{"Bundle":'
"""The beginning of a frame's ``Bundle``, as recorders write it."""
LONGEST_REST = 4096
"""Bytes that may follow the body in it; recorders write 300."""
_REST = re.compile(rb'\]\}(?:,"[A-Za-z]+":(?:"[^"\\]*"|-?[0-9.eE+-]+|true|false|null))+\}\Z')


class _Outer(msgspec.Struct, gc=False):
    Bundle: msgspec.Raw


_read_outer = msgspec.json.Decoder(_Outer).decode


def end_of_bundle(content: bytes) -> int | None:
    """Return the end of the body that comes first in a frame's ``Bundle``; None where it is not certain."""
    if not content.startswith(BUNDLE_FIRST):
        return None
    if len(content) <= AT_ONCE:
        try:
            return len(BUNDLE_FIRST) + len(_read_outer(content).Bundle)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
    rest = _REST.search(content, len(content) - LONGEST_REST)
    if rest is None:
        return None
    end = rest.start() + 2
    try:
        # Split in steps that let other threads run: if this much is one bundle, then all that follows is the rest.
        return end if split_events(content[len(BUNDLE_FIRST) : end]) is not None else None
    except ScanError:
        return None


_BLANK = rb"[ \t\r\n]*"
_SEQ = _BLANK + rb'"Seq"' + _BLANK + rb":" + _BLANK + rb"(-?[0-9]{1,15})" + _BLANK
_CMD_FIRST = re.compile(
    _BLANK + rb"\{" + _BLANK + rb'"Cmd"' + _BLANK + rb":" + _BLANK + rb"([0-9][0-9.eE+-]*)", re.IGNORECASE
)
_SEQ_BEHIND = re.compile(_BLANK + rb"\{[^{}\[\]]{0,64}," + _SEQ + rb",", re.IGNORECASE)
_SEQ_LAST = re.compile(rb"," + _SEQ + rb"\}" + _BLANK + rb"\Z", re.IGNORECASE)


def read_ends(start: bytes, end: bytes) -> SocketFrame:
    """Return what can be known from the two ends of a message that cannot be read as a whole.

    Such a message is refused in any case. Where no command of a recorder is found, it counts as a bundle.
    """
    found = _CMD_FIRST.match(start)
    command = _command(value_of(found[1], LONGEST_SEQ)) if found is not None else None
    if command is None or not command.is_request:
        command = Command.BUNDLE
    seq = _SEQ_LAST.search(end) or _SEQ_BEHIND.match(start)
    raw = seq[1] if seq is not None else b"null"
    return SocketFrame(command=command, seq=int(raw) if seq is not None else None, raw_seq=raw)


def fail_text(seq: bytes, status: int, error: bytes) -> bytes:
    """Return the frame that a recorder takes for an HTTP answer with ``status`` and ``error`` as its body."""
    return b'{"Cmd":3,"Seq":%b,"Fail":{"Status":%d,"Error":%b}}' % (seq, status, _encode(error.decode()))
