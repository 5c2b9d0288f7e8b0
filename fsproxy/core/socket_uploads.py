"""The bundle or the calls inside a recorder's frame: what an HTTP upload says in its query stands around them."""

from __future__ import annotations

from typing import Any

import msgspec

from fsproxy.core.client_api.scanner import ScanError, Span, skip_blank
from fsproxy.core.facts import BundleQuery, usable_id
from fsproxy.core.one_reading import folded, places_of
from fsproxy.core.socket_frames import BUNDLE_FIRST, LONGEST_REST, end_of_bundle

LONGEST_SCALAR = 2048
"""Bytes of an id or a number in a frame that are read; what is longer counts as missing, as in a query."""


class SocketUpload(msgspec.Struct, frozen=True, gc=False):
    """What a frame uploads."""

    ids: BundleQuery
    """The client's clock is not among them."""
    place: Span
    """Where the body that HTTP would carry stands in the message; empty without one."""


_NAMES = folded(("Bundle", "OrgId", "UserId", "SessionId", "PageId", "Seq", "PageStart", "DeltaT"))
_read_any = msgspec.json.Decoder().decode
_read_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_upload(text: bytes, place: Span) -> SocketUpload | None:
    """Read the frame's ``Bundle``, which stands at ``place`` in the message; None where no object stands there.

    Raise UnclearError where two readers could read it in two ways (rules.md 4).
    """
    content = text[place[0] : place[1]]
    try:
        values, body = _compact(content) or _scanned(content)
    except ScanError:
        return None
    ids = _ids({name: _value(raw) for name, raw in values.items()})
    return SocketUpload(ids, (body[0] + place[0], body[1] + place[0]))


def _compact(content: bytes) -> tuple[dict[str, bytes], Span] | None:
    """Read an object as recorders write it, without a blank and the bundle first; None leaves it to the scanner."""
    end = end_of_bundle(content)
    if end is None or len(content) - end > LONGEST_REST:
        return None
    rest = b'{"Bundle":0' + content[end:]
    try:
        found = _read_raw(rest)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    # Quotes, colon, comma: so long is a text without blanks, escapes and repeated names; each would make it longer.
    size = 1 + sum(len(name) + len(raw) + 4 for name, raw in found.items())
    if size != len(rest) or any(_is_other_case(name) for name in found):
        return None
    return {name: bytes(raw) for name, raw in found.items()}, (len(BUNDLE_FIRST), end)


def _is_other_case(name: str) -> bool:
    return name not in _NAMES.values() and name.casefold() in _NAMES


def _scanned(content: bytes) -> tuple[dict[str, bytes], Span]:
    places, end = places_of(content, skip_blank(content, 0), _NAMES)
    if skip_blank(content, end) != len(content):
        raise ScanError
    return {name: content[start:end] for name, (start, end) in places.items()}, places.get("Bundle", (0, 0))


def _value(raw: bytes) -> Any:
    if len(raw) > LONGEST_SCALAR:
        return None
    try:
        return _read_any(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _ids(values: dict[str, Any]) -> BundleQuery:
    get = values.get
    seq = get("Seq")
    return BundleQuery(
        org_id=usable_id(get("OrgId")),
        user_id=usable_id(get("UserId")),
        session_id=usable_id(get("SessionId")),
        page_id=usable_id(get("PageId")),
        seq=seq if type(seq) is int else None,
        page_start=_number(get("PageStart")),
        delta_t=_number(get("DeltaT")),
    )


def _number(value: Any) -> float | None:
    # A whole number may be too large for a float.
    return float(value) if type(value) in (int, float) and abs(value) < 1e18 else None
