"""Finds the bundle inside a frame of the recorder's socket (wire.md 6)."""

from __future__ import annotations

from typing import Any

import msgspec

from fsproxy.core.client_api.bundle import NO_CALLS, Bundle, Uninspectable, has_no_call, read_bundle
from fsproxy.core.client_api.scanner import Member, ScanError, members_of, name_of, skip_blank

_BUNDLE = "Bundle"
_BUNDLE_COMMAND = b"2"


class _Inner(msgspec.Struct, gc=False):
    Bundle: msgspec.Raw


class _Outer(msgspec.Struct, gc=False):
    Cmd: Any
    Bundle: _Inner


_decode = msgspec.json.Decoder(_Outer).decode


def read_frame(frame: bytes, limit: int, *, thorough: bool = False) -> Bundle | Uninspectable:
    """Find the calls in a frame; one that carries no bundle has none. Places are those in the frame. Never raises."""
    if not thorough and _has_no_call(frame):
        return NO_CALLS
    try:
        outer = _members(frame, skip_blank(frame, 0))
        command = outer.get("Cmd")
        if command is None or frame[command.value_start : command.end] != _BUNDLE_COMMAND:
            return NO_CALLS
        inner = _members(frame, outer[_BUNDLE].value_start)
        place = inner[_BUNDLE]
    except ScanError:
        return Uninspectable.BROKEN
    except KeyError:
        return Uninspectable.NOT_A_BUNDLE
    found = read_bundle(frame[place.value_start : place.end], limit, thorough=thorough)
    if isinstance(found, Uninspectable):
        return found
    shift = place.value_start
    return Bundle([(start + shift, end + shift) for start, end in found.events], found.calls)


def _has_no_call(frame: bytes) -> bool:
    """Tell without looking for places, as most frames have no call; False says nothing."""
    try:
        found = _decode(frame)
    except (ValueError, RecursionError):
        return False
    return found.Cmd == 2 and has_no_call(bytes(found.Bundle.Bundle))


def _members(data: bytes, at: int) -> dict[str | None, Member]:
    return {name_of(data, each): each for each in members_of(data, at)[0]}
