"""Finds the calls among a bundle's events without reading the others (wire.md 2 and 3, rules.md 3)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Any

import msgspec
import re2

from fsproxy.core.client_api.arguments import CUSTOM_EVENT, VARIABLES, read_arguments
from fsproxy.core.client_api.calls import Call, broken, unread
from fsproxy.core.client_api.json_text import Fault, parse_object
from fsproxy.core.client_api.scanner import ScanError, Span, members_of, name_of
from fsproxy.core.client_api.splitting import PART, looks_like_one, split_events
from fsproxy.core.model import CallKind

COMPANION = 98
"""With ``Args[0] == "api"`` it belongs to the call after it."""

# The number of a call's kind, in digits, wherever it stands: what has none has no calls.
# Recorders write it so; ``8.197e3`` and ``8197.0`` are numbers of no known kind.
_KINDS = re.compile(rb"819[37]")
# Most bodies have none, and RE2 sees that in a third of the time or less; bytes.find is slower than either.
_find_kind = re2.compile(rb"819[37]").search
_FEW = 16
"""Of them, RE2 finds each in less time; of many more the other does, as it costs less to call."""
_DIGITS = 4
_BEFORE, _AFTER = b": \t\r\n", (b",", b"}", b" ", b"\t", b"\r", b"\n")


class _Event(msgspec.Struct, gc=False):
    Kind: Any = None
    Args: msgspec.Raw = msgspec.Raw(b"null")
    When: Any = None


class _KindOnly(msgspec.Struct, gc=False):
    Kind: Any = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_any = msgspec.json.Decoder().decode


_decode_kind = msgspec.json.Decoder(_KindOnly).decode
_CALL_KINDS = {CUSTOM_EVENT: CallKind.EVENT, VARIABLES: CallKind.SET_USER_VARS}
_BEGINNINGS = tuple((b'{"Kind":%d,' % number, kind) for number, kind in _CALL_KINDS.items())
_KIND_MEMBER = re.compile(rb'"Kind"[ \t\r\n]*:[ \t\r\n]*(819[37])[ \t\r\n]*[,}]')


@unique
class Uninspectable(StrEnum):
    """Why a body is not the bundle of ``wire.md`` 2."""

    NOT_A_BUNDLE = "not a JSON object with one list named Evts"
    BROKEN = "not JSON"


class BundleCall(msgspec.Struct, frozen=True, gc=False):
    """A call among a bundle's events."""

    index: int
    """Which of the events it is."""
    call: Call
    number: int
    """Its ``Kind`` on the wire."""
    args: bytes
    """Its ``Args``, the exact bytes."""
    when: float | None
    """Its ``When`` in milliseconds since the page's start; None when it is no number."""


class Bundle(msgspec.Struct, frozen=True, gc=False):
    """Where a bundle's events stand, and those of them that are calls."""

    events: Sequence[Span]
    calls: list[BundleCall]
    surplus: Mapping[int, CallKind] = MappingProxyType({})
    """The calls beyond the most that are read: by which of the events it is, what its ``Kind`` alone tells."""


NO_CALLS = Bundle([], [])
"""Also of a bundle that was not split, as nothing in it could be a call."""


def read_bundle(body: bytes, limit: int, most: int = sys.maxsize, *, thorough: bool = False) -> Bundle | Uninspectable:
    """Find the calls in a bundle. Never raises.

    ``limit`` is the payload's, in bytes; of the calls after the first ``most`` only the kind is read. Without any
    call's number in it, a body that begins and ends as bundles do is taken for one, unless ``thorough``.
    """
    hits = _hits(body)
    if not hits and not thorough and looks_like_one(body):
        return NO_CALLS
    try:
        events = split_events(body)
    except ScanError:
        return Uninspectable.BROKEN
    if events is None:
        return Uninspectable.NOT_A_BUNDLE
    calls: list[BundleCall] = []
    surplus: dict[int, CallKind] = {}
    last = -1
    for hit in hits:
        index = events.holding(hit)
        if index <= last:
            continue
        last = index
        start, end = events[index]
        if len(calls) >= most:
            kind = _unread_kind(body, start, end)
            if kind is not None:
                surplus[index] = kind
            continue
        found_call = _read_event(body[start:end], index, limit)
        if found_call is not None:
            calls.append(found_call)
    return Bundle(events, calls, surplus) if surplus else Bundle(events, calls)


def is_companion(event: bytes) -> bool:
    """Tell whether this event is the one that stands before a call: ``Kind`` 98 with ``Args[0] == "api"``."""
    try:
        read = _decode_event(event)
        args = _decode_any(read.Args) if read.Kind == COMPANION else None
    except (ValueError, RecursionError):
        return False
    return isinstance(args, list) and args[:1] == ["api"]


def _hits(body: bytes) -> list[int]:
    """Give the places where a call's number stands as the value of a member, whatever its name."""
    return [at for at in _places(body) if body[at - 1] in _BEFORE and body[at + _DIGITS : at + _DIGITS + 1] in _AFTER]


def _places(body: bytes) -> Iterator[int]:
    at = 0
    for _ in range(_FEW):
        found = _find_kind(body, at)
        if found is None:
            return
        yield found.start()
        at = found.end()
    # In parts, as other threads wait while the engine looks through one.
    for start in range(at, len(body), PART):
        for each in _KINDS.finditer(body, start, start + PART + _DIGITS - 1):
            yield each.start()


def _read_event(raw: bytes, index: int, limit: int) -> BundleCall | None:
    """Read one event that holds the number of a call's kind somewhere; None when it is opaque after all."""
    if raw[:1] != b"{":
        return None
    try:
        event = _decode_event(raw)
        sure = (
            b"\\u" not in raw and raw.count(b'"Kind"') == 1 and raw.count(b'"Args"') == 1 and raw.count(b'"When"') == 1
        )
        if not sure and event.Kind in (CUSTOM_EVENT, VARIABLES) and not isinstance(parse_object(raw), dict):
            return _broken_event(raw, index)
        if not sure and event.Kind not in (CUSTOM_EVENT, VARIABLES):
            return _broken_event(raw, index)
        args = _decode_any(event.Args)
    except (ValueError, RecursionError):
        return _broken_event(raw, index)
    number = event.Kind
    if type(number) is not int or number not in (CUSTOM_EVENT, VARIABLES):
        return None
    call = read_arguments(number, args, limit)
    return None if call is None else BundleCall(index, call, number, bytes(event.Args), _when(event.When))


def _unread_kind(body: bytes, start: int, end: int) -> CallKind | None:
    """Tell by its ``Kind`` alone what call an event is, as cheaply as can be; None: it is none."""
    for beginning, kind in _BEGINNINGS:
        if body.startswith(beginning, start):
            return kind
    raw = body[start:end]
    try:
        number = _decode_kind(raw).Kind
    except (ValueError, RecursionError):
        # Nobody looks for the members of an object that is not strict JSON: the name of one is enough.
        found = _KIND_MEMBER.search(raw)
        number = int(found[1]) if found is not None else None
    return _CALL_KINDS.get(number) if type(number) is int else None


def _broken_event(raw: bytes, index: int) -> BundleCall | None:
    """Read an event that is not strict JSON: a call all the same if any of its Kinds is a call's."""
    try:
        members, _ = members_of(raw, 0)
    except ScanError:
        return None
    kinds = [raw[each.value_start : each.end] for each in members if name_of(raw, each) == "Kind"]
    for number, kind in ((CUSTOM_EVENT, CallKind.EVENT), (VARIABLES, CallKind.SET_USER_VARS)):
        if str(number).encode() in kinds:
            fault = parse_object(raw)
            call = unread(kind, broken(fault if isinstance(fault, Fault) else Fault.NOT_JSON))
            return BundleCall(index, call, number, raw, None)
    return None


def _when(value: Any) -> float | None:
    return value if type(value) in (int, float) else None
