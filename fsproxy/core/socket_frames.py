"""What the recorder's socket says: text frames of JSON with a ``Cmd`` each (wire.md 6)."""

from __future__ import annotations

from enum import IntEnum, unique
from typing import Any

import msgspec

from fsproxy.core.client_api.scanner import ScanError, members_of, name_of, skip_blank
from fsproxy.core.facts import LONGEST_ID, BundleQuery
from fsproxy.core.page import read_page_answer
from fsproxy.core.pipeline import PageAnswer

LONGEST_SEQ = 64
"""Bytes of a frame's ``Seq`` that are sent back; recorders count from 1."""

Seq = int | float | str | None
"""By which an answer is known to belong to a frame."""


@unique
class Command(IntEnum):
    """The ``Cmd`` of a frame: two from the recorder, three from the upstream."""

    PAGE = 1
    BUNDLE = 2
    FAIL = 3
    PAGE_ANSWER = 4
    BUNDLE_ANSWER = 5


_COMMANDS = {int(each): each for each in Command}
_NOTHING = msgspec.Raw()


class SocketFrame(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A frame that means something here."""

    command: Command
    seq: Seq = None
    raw_seq: bytes = b"null"
    """``Seq`` as it came, to be sent back."""
    content: bytes = b""
    """The JSON of its ``Page``, ``Bundle`` or ``Fail``; b"" without one."""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What is to become of a client's message."""

    instead: bytes | None = None
    """The text to forward in its place."""
    answer: bytes | None = None
    """The text that the client gets; nothing is forwarded."""


FORWARD = Verdict()
"""As it came."""


class _Frame(msgspec.Struct, gc=False, rename="pascal"):
    cmd: Any = None
    seq: msgspec.Raw = _NOTHING
    page: msgspec.Raw = _NOTHING
    bundle: msgspec.Raw = _NOTHING
    fail: msgspec.Raw = _NOTHING


_read = msgspec.json.Decoder(_Frame).decode
_read_seq = msgspec.json.Decoder(Seq).decode
_read_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


def read_frame(text: bytes) -> SocketFrame | None:
    """The frame; None for any other text: not JSON, no object, no ``Cmd`` that is known. Never raises."""
    try:
        found = _read(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # Nested too deep for a strict reader, which a page may well be (rules.md 3).
        return _scanned(text)
    return _frame(found.cmd, bytes(found.seq), found)


def _scanned(text: bytes) -> SocketFrame | None:
    try:
        members, end = members_of(text, skip_blank(text, 0))
        if skip_blank(text, end) != len(text):
            return None
        values = {name_of(text, each): text[each.value_start : each.end] for each in members}
        command = _read_any(values.get("Cmd", b"null"))
    except (ScanError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
    raw = {name: msgspec.Raw(values.get(name, b"")) for name in ("Page", "Bundle", "Fail")}
    found = _Frame(page=raw["Page"], bundle=raw["Bundle"], fail=raw["Fail"])
    return _frame(command, values.get("Seq", b""), found)


def _frame(command: Any, raw_seq: bytes, found: _Frame) -> SocketFrame | None:
    known = _COMMANDS.get(command) if type(command) in (int, float) else None
    if known is None:
        return None
    content = found.bundle
    if known is Command.PAGE or known is Command.PAGE_ANSWER:
        content = found.page
    elif known is Command.FAIL:
        content = found.fail
    seq: Seq = None
    if 0 < len(raw_seq) <= LONGEST_SEQ:
        try:
            seq = _read_seq(raw_seq)
        except (msgspec.MsgspecError, ValueError):
            raw_seq = b"null"
    return SocketFrame(
        command=known,
        seq=seq,
        raw_seq=raw_seq if seq is not None else b"null",
        content=bytes(content),
    )


def fail_text(seq: bytes, status: int, error: bytes) -> bytes:
    """The frame that the recorder takes for an HTTP answer with ``status`` and the text ``error`` as its body."""
    return b'{"Cmd":3,"Seq":%b,"Fail":{"Status":%d,"Error":%b}}' % (seq, status, _encode(error.decode()))


class _Bundle(msgspec.Struct, gc=False, rename="pascal"):
    org_id: Any = None
    user_id: Any = None
    session_id: Any = None
    page_id: Any = None
    seq: Any = None
    page_start: Any = None
    delta_t: Any = None


_read_bundle = msgspec.json.Decoder(_Bundle).decode
_BUNDLE_NAMES = dict(zip(_Bundle.__struct_encode_fields__, _Bundle.__struct_fields__, strict=True))


def bundle_ids(content: bytes) -> BundleQuery:
    """What an HTTP bundle says in its query a frame says in its outer ``Bundle``. What is odd is missing; never raises.

    The client's clock is not among it.
    """
    try:
        found = _read_bundle(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = _scanned_bundle(content)
    return BundleQuery(
        org_id=_id(found.org_id),
        user_id=_id(found.user_id),
        session_id=_id(found.session_id),
        page_id=_id(found.page_id),
        seq=found.seq if type(found.seq) is int else None,
        page_start=_number(found.page_start),
        delta_t=_number(found.delta_t),
    )


def _scanned_bundle(content: bytes) -> _Bundle:
    found = _Bundle()
    try:
        members, _ = members_of(content, skip_blank(content, 0))
    except ScanError:
        return found
    for member in members:
        name = _BUNDLE_NAMES.get(name_of(content, member) or "")
        if name is not None:
            try:
                setattr(found, name, _read_any(content[member.value_start : member.end]))
            except (msgspec.MsgspecError, ValueError, RecursionError):
                setattr(found, name, None)
    return found


def _id(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= LONGEST_ID else ""


def _number(value: Any) -> float | None:
    # A whole number may be too large for a float.
    return float(value) if type(value) in (int, float) and abs(value) < 1e18 else None


class _Fail(msgspec.Struct, gc=False, rename="pascal"):
    status: Any = None
    error: Any = None


_read_fail = msgspec.json.Decoder(_Fail).decode


def page_answer(found: SocketFrame) -> PageAnswer:
    """What an upstream's answer to a page frame means to the limits, as ``read_page_answer`` says of HTTP's."""
    if found.command is Command.PAGE_ANSWER:
        return read_page_answer(200, found.content)
    try:
        fail = _read_fail(found.content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return PageAnswer(0)
    # A failure with the status of a success is still one.
    known = type(fail.status) is int and 200 < fail.status < 1000
    error = fail.error.encode("utf-8", "replace") if isinstance(fail.error, str) else b""
    return read_page_answer(fail.status if known else 0, error)
