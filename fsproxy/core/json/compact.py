"""Cuts and finds in JSON that is written without white space, as recorders write it, at the pace of C code.

What is read is put together again and compared with what came: where that is not the same, the scanner does it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from fsproxy.core.client_api.calls import Steps

_LEVELS = 8
"""Objects in each other that are cut here; each is a call of a function in another."""
_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_write = msgspec.json.Encoder().encode


def cut_compactly(data: bytes, tree: Mapping[Any, Any], kept: Collection[Steps], path: Steps = ()) -> bytes | None:
    """Do what ``cut_members`` does, ``tree`` being its cuts; None: only the scanner can."""
    if data[:1] != b"{" or len(path) > _LEVELS:
        return None
    try:
        found = _read_members(data)
        if _write(found) != data:
            return None
    except (ValueError, RecursionError):
        return None
    for name, branch in tree.items():
        if branch is None or name not in found:
            found.pop(name, None)
            continue
        inside = cut_compactly(bytes(found[name]), branch, kept, (*path, name))
        if inside is None:
            return None
        if inside == b"{}" and (*path, name) not in kept:
            del found[name]
        else:
            found[name] = msgspec.Raw(inside)
    return _write(found)


def places_of_elements(event: bytes, name: bytes) -> list[tuple[int, int]] | None:
    """Find the elements of the list that is an event's member ``name``; None: only the scanner can."""
    start = event.find(b'"%b":[' % name)
    if start < 0 or event.count(b'"%b"' % name) != 1:
        return None
    try:
        members = _read_members(event)
        args = bytes(members[name.decode()])
        elements = [bytes(each) for each in _read_elements(args)]
    except (ValueError, KeyError, RecursionError):
        return None
    at = start + len(name) + 3
    if args != b"[%b]" % b",".join(elements) or not event.startswith(args, at):
        return None
    places: list[tuple[int, int]] = []
    at += 1
    for each in elements:
        places.append((at, at + len(each)))
        at += len(each) + 1
    return places
