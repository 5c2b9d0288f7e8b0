"""The frames of a recorder's socket: JSON messages with a ``Cmd`` (wire.md 7)."""

from __future__ import annotations

import re
from enum import IntEnum, unique
from typing import Any

import msgspec

from fsproxy.core.client_api.reading.splitting import split_events
from fsproxy.core.json.scanner import ScanError, Span
from fsproxy.core.wire.facts import LONGEST_ID, BundleQuery
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


class SocketUpload(msgspec.Struct, frozen=True, gc=False):
    """A frame's upload."""

    ids: BundleQuery
    """Without ``client_time``, which frames do not carry."""
    place: Span
    """The place of the body in the message; empty without one."""


class SocketFrame(msgspec.Struct, frozen=True, gc=False):
    """A recorder's frame."""

    command: Command
    seq: Seq = None
    raw_seq: bytes = b"null"
    """The bytes of ``Seq``, to be sent back."""
    place: Span = (0, 0)
    """The place of the JSON of its ``Page`` or ``Bundle`` in the message; empty without one."""
    upload: SocketUpload | None = None
    """Of a frame as recorders write it; None: ``read_upload`` reads it, if there is one."""


_NAMES = by_fold(("Cmd", "Seq", "Page", "Bundle"))
# As recorders of all four generations write their frames, without a blank.
_BEGINNINGS = (
    (b'{"Cmd":2,"Bundle":{"Bundle":', Command.BUNDLE),
    (b'{"Cmd":6,"Bundle":{"Bundle":', Command.EVENT),
    (b'{"Cmd":1,"Page":', Command.PAGE),
)
_PAGE = Command.PAGE
_CONTENT = len(b'{"Cmd":2,"Bundle":')
_WHOLE = "(?:0|[1-9][0-9]{0,14})"
_NUMBER = rf"-?{_WHOLE}(?:\.[0-9]{{1,9}})?"
_ID = rf'"([^"\\\x00-\x1f]{{0,{LONGEST_ID}}})"'
_SEQ_AT_END = r',"Seq":(-?[0-9]{1,15})\}\Z'
_end_of_page = re.compile(_SEQ_AT_END).match
_end_of_upload = re.compile(
    rf'(?:,"DeltaT":{_NUMBER})?,"OrgId":{_ID},"PageId":{_ID},"PageStart":({_NUMBER})'
    rf',"PrevBundleTime":{_NUMBER},"Seq":{_WHOLE},"SessionId":{_ID},"UserId":{_ID}\}}{_SEQ_AT_END}'
).match
_LONGEST_END = 4096
"""Bytes of a frame's end in which that of its body is looked for; recorders write 300 after it."""
_check = msgspec.json.Decoder(msgspec.Raw).decode
_read_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


def read_frame(text: bytes) -> SocketFrame | None:
    """Return a recorder's frame; None for any other text: no object, or no ``Cmd`` that a recorder sends.

    Raise UnclearError for a frame that two readers could read in two ways (rules.md 4).
    """
    for beginning, command in _BEGINNINGS:
        if text.startswith(beginning):
            return _recorded(text, command, len(beginning)) or _scanned(text)
    return _scanned(text)


def _recorded(text: bytes, command: Command, start: int) -> SocketFrame | None:
    """Read a frame as recorders write it, of which the page or the body begins at ``start``; None: scan it.

    If all between its beginning and its end is a single value, then the frame has no other members.
    """
    is_page = command is _PAGE
    end = text.rfind(b',"Seq":', -_LONGEST_END) if is_page else text.rfind(b']},"', -_LONGEST_END) + 2
    try:
        found = (_end_of_page if is_page else _end_of_upload)(text[end:].decode())
    except UnicodeDecodeError:
        return None
    if found is None or not _is_one_value(text[start:end], is_bundle=not is_page):
        return None
    if is_page:
        return SocketFrame(command, int(found[1]), found[1].encode(), (start, end))
    org, page, page_start, session, user, seq = found.groups()
    upload = SocketUpload(BundleQuery(org, user, session, page, float(page_start)), (start, end))
    return SocketFrame(command, int(seq), seq.encode(), (_CONTENT, len(text) - len(seq) - len(b',"Seq":}')), upload)


def _is_one_value(value: bytes, *, is_bundle: bool) -> bool:
    """Return whether this is one JSON value, as far as a strict reader knows, or one bundle."""
    if len(value) <= AT_ONCE:
        try:
            _check(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass  # unpaired surrogates, or too much depth
        else:
            return True
    try:
        # A large one is split in steps that let other threads run.
        return is_bundle and split_events(value) is not None
    except ScanError:
        return False


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
    return SocketFrame(command, seq, raw_seq, place)


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
