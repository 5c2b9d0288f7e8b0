"""Finds the calls among a bundle's events without reading the others (wire.md 2 and 3, rules.md 3)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Any

import msgspec

from fsproxy.core.client_api.calls import Call, broken, unread
from fsproxy.core.client_api.reading.arguments import CUSTOM_EVENT, VARIABLES, read_arguments
from fsproxy.core.client_api.reading.kinds import call_number, places_of_kinds
from fsproxy.core.client_api.reading.splitting import Spans, looks_like_one, split_events
from fsproxy.core.json.member_names import finder_of_misspelt, folded
from fsproxy.core.json.scanner import ScanError, members_of, name_of
from fsproxy.core.json.strict import Fault, parse, parse_object
from fsproxy.core.model import CallKind
from fsproxy.core.settings import ClientApiSettings, OnUninspectable

COMPANION = 98
"""The ``Kind`` of the event that precedes a call, if ``Args[0] == "api"``."""

_may_be_misspelt = finder_of_misspelt(("Kind", "Args", "When"))


class _Event(msgspec.Struct, gc=False):
    Kind: Any = None
    Args: msgspec.Raw = msgspec.Raw(b"null")
    When: Any = None

    def is_sure(self, raw: bytes) -> bool:
        """Return whether every name that is read is there once, as it is spelled, and without escapes."""
        # ``Args`` is left out, because it holds long texts, and its text may hold the names.
        rest = raw.replace(self.Args, b"", 1)
        return (
            b"\\" not in rest
            and rest.count(b'"Kind"') == rest.count(b'"Args"') == rest.count(b'"When"') == 1
            and _may_be_misspelt(rest) is None
        )


class _KindOnly(msgspec.Struct, gc=False):
    Kind: Any = None


_NAMES = _Event.__struct_fields__
_KIND = folded("Kind")
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_any = msgspec.json.Decoder().decode
_decode_kind = msgspec.json.Decoder(_KindOnly).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_CALL_KINDS = {CUSTOM_EVENT: CallKind.EVENT, VARIABLES: CallKind.SET_USER_VARS}
_WHEN = rb'"When":(0|-?[1-9][0-9]{0,14})'
_recorded_event = re.compile(
    rb'\{"Kind":(819[37]),(?:' + _WHEN + rb',)?"Args":(\[.*\])(?(2)|,' + _WHEN + rb")\}", re.DOTALL
).fullmatch
"""A call's event as recorders write it, if its Args are JSON: then they end where the pattern says."""
_BEGINNINGS = tuple((b'{"Kind":%d,' % number, kind) for number, kind in _CALL_KINDS.items())
_KIND_MEMBER = re.compile(rb'"Kind"[ \t\r\n]*:[ \t\r\n]*(819[37])[ \t\r\n]*[,}]')


@unique
class Uninspectable(StrEnum):
    """Why nothing in a body can be judged: it is not the bundle of ``wire.md`` 2, or not to be redacted."""

    NOT_A_BUNDLE = "not a JSON object with a list named Evts"
    BROKEN = "not JSON"
    UNREDACTED = "not to be redacted"


class BundleCall(msgspec.Struct, frozen=True, gc=False):
    """A call among a bundle's events."""

    index: int
    """Which of the events it is."""
    call: Call
    number: int
    """Its ``Kind`` on the wire."""
    args: bytes
    """The exact bytes of its ``Args``."""
    when: float | None
    """Its ``When`` in milliseconds since the page's start; None if that is no number."""


class Bundle(msgspec.Struct, frozen=True, gc=False):
    """A bundle's events, and those of them that are calls."""

    events: Spans
    calls: list[BundleCall]
    surplus: Mapping[int, CallKind] = MappingProxyType({})
    """The calls beyond the most that are read: their place among the events, and the kind that their ``Kind`` gives."""


NO_CALLS = Bundle(Spans([], []), [])
"""The result also for a bundle that was not split, because nothing in it can be a call."""


def read_bundle(body: bytes, settings: ClientApiSettings) -> Bundle | Uninspectable:
    """Find the calls in a bundle. Never raises.

    Of the calls after the first ``max_calls`` only the kind is read. A body that has no call's number in it, and begins
    and ends as bundles do, counts as a bundle without being split, unless uninspectable bodies are blocked.
    """
    hits = places_of_kinds(body)
    if not hits and settings.on_uninspectable is OnUninspectable.FORWARD and looks_like_one(body):
        return NO_CALLS
    try:
        events = split_events(body)
    except ScanError:
        return Uninspectable.BROKEN
    if events is None:
        return Uninspectable.NOT_A_BUNDLE
    calls: list[BundleCall] = []
    surplus: dict[int, CallKind] = {}
    ends, lengths, most, end = events.ends, events.lengths, settings.max_calls, 0
    for hit in hits:
        if hit < end:
            continue  # another number in the same event
        index = bisect_right(ends, hit)
        if index == len(ends):
            break
        start = ends[index] - lengths[index]
        if start > hit:
            continue
        end = ends[index]
        if len(calls) >= most:
            kind = _unread_kind(body, start, end)
            if kind is not None:
                surplus[index] = kind
            continue
        calls += read_event(body[start:end], index, settings)
    return Bundle(events, calls, surplus) if surplus else Bundle(events, calls)


def is_companion(event: bytes) -> bool:
    """Return whether this event belongs to the call after it: ``Kind`` 98 with ``Args[0] == "api"``."""
    try:
        read = _decode_event(event)
        args = _decode_any(read.Args) if read.Kind == COMPANION else None
    except (ValueError, RecursionError):
        return False
    return isinstance(args, list) and args[:1] == ["api"]


def has_companions_kind(event: bytes) -> bool:
    """Return whether this event has ``Kind`` 98, whatever is in it."""
    try:
        return bool(_decode_kind(event).Kind == COMPANION)
    except (ValueError, RecursionError):
        return False


def read_event(raw: bytes, index: int, settings: ClientApiSettings, *, anew: bool = False) -> list[BundleCall]:
    """Return the calls of an event with a call's number somewhere in it: none if it is opaque after all, seldom two.

    See ``read_arguments`` for ``anew``.
    """
    recorded = _recorded_event(raw)
    if recorded is not None:
        kind, first, written, later = recorded.groups()
        try:
            args = _decode_any(written)
        except (ValueError, RecursionError):
            pass  # perhaps other members follow the Args
        else:
            number, when = int(kind), int(first or later)
            call = read_arguments(number, args, settings, anew=anew)
            return [] if call is None else [BundleCall(index, call, number, written, when)]
    if raw[:1] != b"{":
        return []
    try:
        event = _decode_event(raw)
        if not event.is_sure(raw):
            return _read_odd_event(raw, index, settings)
        known = call_number(event.Kind)
        if known is None:
            return []
        args = _decode_any(event.Args)
    except (ValueError, RecursionError):
        return _read_odd_event(raw, index, settings)
    call = read_arguments(known, args, settings, anew=anew)
    return [] if call is None else [BundleCall(index, call, known, bytes(event.Args), _when(event.When))]


def _unread_kind(body: bytes, start: int, end: int) -> CallKind | None:
    """Return an event's kind of call by its ``Kind`` alone, as cheaply as possible; None: it is no call."""
    for beginning, kind in _BEGINNINGS:
        if body.startswith(beginning, start):
            return kind
    raw = body[start:end]
    try:
        number = call_number(_decode_kind(raw).Kind)
        if number is None and _may_be_misspelt(raw) is not None:
            kinds = [parse(bytes(value)) for name, value in _decode_members(raw).items() if folded(name) == _KIND]
            number = next(filter(None, map(call_number, kinds)), None)
    except (ValueError, RecursionError):
        # The event is not strict JSON. Anything that looks like a call's ``Kind`` makes it a call.
        found = _KIND_MEMBER.search(raw)
        number = int(found[1]) if found is not None else None
    return _CALL_KINDS.get(number) if number is not None else None


def _read_odd_event(raw: bytes, index: int, settings: ClientApiSettings) -> list[BundleCall]:
    """Return the calls that an event is to two kinds of readers: by its exact names, and without case (rules.md 4)."""
    root = parse_object(raw)
    if isinstance(root, Fault):
        return _broken_event(raw, index, root)
    values = {name_of(raw, each): raw[each.value_start : each.end] for each in members_of(raw, 0)[0]}
    loosely = {folded(name): name for name in root}
    readings = {
        tuple(name if name in root else None for name in _NAMES): None,
        tuple(loosely.get(folded(name)) for name in _NAMES): None,
    }
    found: list[BundleCall] = []
    for kind, args, when in readings:
        number = call_number(root[kind]) if kind is not None else None
        if number is None:
            continue
        call = read_arguments(number, root[args] if args is not None else None, settings, anew=True)
        if call is not None:
            call = msgspec.structs.replace(call, is_whole=len(readings) > 1, key=None)
            at = _when(root[when]) if when is not None else None
            found.append(BundleCall(index, call, number, values.get(args, b"null"), at))
    return found


def _broken_event(raw: bytes, index: int, fault: Fault) -> list[BundleCall]:
    """Return the broken call that an event is which is not strict JSON, if any of its Kinds is a call's."""
    try:
        members, _ = members_of(raw, 0)
    except ScanError:
        return []
    for each in members:
        if folded(name_of(raw, each) or "") == _KIND:
            number = call_number(parse(raw[each.value_start : each.end]))
            if number is not None:
                kind = CallKind.EVENT if number == CUSTOM_EVENT else CallKind.SET_USER_VARS
                return [BundleCall(index, unread(kind, broken(fault)), number, raw, None)]
    return []


def _when(value: Any) -> float | None:
    return value if type(value) in (int, float) else None
