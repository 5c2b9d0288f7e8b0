"""Finds the calls among a bundle's events without reading the others (wire.md 2 and 3, rules.md 3)."""

from __future__ import annotations

import re
from bisect import bisect_right
from enum import StrEnum, unique
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from fsproxy.core.client_api.arguments import CUSTOM_EVENT, VARIABLES, read_arguments
from fsproxy.core.client_api.calls import Call, broken, unread
from fsproxy.core.client_api.json_text import Fault, parse_object
from fsproxy.core.client_api.scanner import ScanError, Span, elements_of, members_of, name_of, skip_blank
from fsproxy.core.model import CallKind

COMPANION = 98
"""With ``Args[0] == "api"`` it belongs to the call after it."""

_SPACE = rb"[ \t\r\n]*+"
_HEAD = re.compile(
    _SPACE + rb"\{(?:" + _SPACE + rb'"(?:Seq|When)"' + _SPACE + rb":" + _SPACE + rb"-?[0-9][0-9.eE+-]*+" + _SPACE
    + rb",)*+" + _SPACE + rb'"Evts"' + _SPACE + rb":" + _SPACE + rb"\["
)  # fmt: skip
_TAIL = re.compile(_SPACE + rb"\]" + _SPACE + rb"\}" + _SPACE)
_TAIL_AT_END = re.compile(rb"\][ \t\r\n]*\}[ \t\r\n]*\Z")
_LONGEST_TAIL = 64
# The number of a call's kind, in digits, wherever it stands: what has none has no calls.
# Recorders write it so; ``8.197e3`` and ``8197.0`` are numbers of no known kind.
# The engine looks for the three digits that both share; bytes.find is up to 15 times slower on long texts.
_KINDS = re.compile(rb"819[37]")
# Recorders write unpaired surrogates (wire.md 6). One of another character's escapes is as long.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_REPLACEMENT = rb"\\ufffd"


class _Events(msgspec.Struct, gc=False):
    Evts: list[msgspec.Raw]


class _Event(msgspec.Struct, gc=False):
    Kind: Any = None
    Args: msgspec.Raw = msgspec.Raw(b"null")
    When: Any = None


_decode_events = msgspec.json.Decoder(_Events).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_any = msgspec.json.Decoder().decode


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

    events: list[Span]
    calls: list[BundleCall]


NO_CALLS = Bundle([], [])
"""Also of a bundle that was not split, as nothing in it could be a call."""


def read_bundle(body: bytes, limit: int, *, thorough: bool = False) -> Bundle | Uninspectable:
    """Find the calls in a bundle. Never raises.

    ``limit`` is the payload's, in bytes. Without any call's number in it, a body that begins and ends as
    bundles do is taken for one, unless ``thorough``.
    """
    hits = _hits(body)
    if not hits and not thorough and _looks_like_one(body):
        return NO_CALLS
    try:
        events = _split_at_once(body) or _split(body)
    except ScanError:
        return Uninspectable.BROKEN
    if isinstance(events, Uninspectable):
        return events
    starts = [start for start, _ in events]
    calls: list[BundleCall] = []
    for index in sorted({bisect_right(starts, hit) - 1 for hit in hits}):
        if index >= 0:
            start, end = events[index]
            found_call = _read_event(body[start:end], index, limit)
            if found_call is not None:
                calls.append(found_call)
    return Bundle(events, calls)


def has_no_call(body: bytes) -> bool:
    """Tell at a glance that this is a bundle without any call; False says nothing."""
    return _KINDS.search(body) is None and _looks_like_one(body)


def is_companion(event: bytes) -> bool:
    """Tell whether this event is the one that stands before a call: ``Kind`` 98 with ``Args[0] == "api"``."""
    try:
        read = _decode_event(event)
        args = _decode_any(read.Args) if read.Kind == COMPANION else None
    except (ValueError, RecursionError):
        return False
    return isinstance(args, list) and args[:1] == ["api"]


def _hits(body: bytes) -> list[int]:
    return [found.start() for found in _KINDS.finditer(body)]


def _looks_like_one(body: bytes) -> bool:
    return _HEAD.match(body) is not None and _TAIL_AT_END.search(body, len(body) - _LONGEST_TAIL) is not None


def _split_at_once(body: bytes) -> list[Span] | None:
    """Split the events of a bundle as recorders write it; None leaves it to the scanner."""
    head = _HEAD.match(body)
    if head is None:
        return None
    lengths = _lengths(body)
    if lengths is None:
        return None
    # The body is JSON, so only commas and white space can stand between the events. With commas alone,
    # all that is left after the last event is the tail; were there more, an event's end would be left too.
    starts = list(accumulate([each + 1 for each in lengths], initial=skip_blank(body, head.end())))
    events = [(start, end - 1) for start, end in pairwise(starts)]
    tail = _TAIL.match(body, starts[-1] - 1) if events else None
    return events if tail is not None and tail.end() == len(body) else None


def _lengths(body: bytes) -> list[int] | None:
    """Measure the events of a bundle; None when it is not the JSON that msgspec reads."""
    try:
        return [len(each) for each in _decode_events(body).Evts]
    except (ValueError, RecursionError):
        if _SURROGATE.search(body) is None:
            return None
    try:
        return [len(each) for each in _decode_events(_SURROGATE.sub(_REPLACEMENT, body)).Evts]
    except (ValueError, RecursionError):
        return None


def _split(body: bytes) -> list[Span] | Uninspectable:
    members, end = members_of(body, skip_blank(body, 0))
    if skip_blank(body, end) != len(body):
        return Uninspectable.BROKEN
    found = [member for member in members if name_of(body, member) == "Evts"]
    if len(found) != 1 or body[found[0].value_start : found[0].value_start + 1] != b"[":
        return Uninspectable.NOT_A_BUNDLE
    return elements_of(body, found[0].value_start)[0]


def _read_event(raw: bytes, index: int, limit: int) -> BundleCall | None:
    """Read one event that holds the number of a call's kind somewhere; None when it is opaque after all."""
    if raw[:1] != b"{":
        return None
    try:
        event = _decode_event(raw)
        sure = all(raw.count(name) == 1 for name in (b'"Kind"', b'"Args"', b'"When"')) and b"\\u" not in raw
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
