"""The upload inside a recorder's frame: the body, and around it the ids that HTTP has in the query (wire.md 7)."""

from __future__ import annotations

from typing import Any

from fsproxy.core.json.scanner import ScanError, Span, skip_blank
from fsproxy.core.wire.facts import BundleQuery, usable_id
from fsproxy.core.wire.one_reading import by_fold, places_of
from fsproxy.core.wire.sockets.frames import SocketUpload, value_of

LONGEST_SCALAR = 2048
"""Bytes of an id or a number that is read. A longer one counts as missing, as in a query."""
_NAMES = by_fold(("Bundle", "OrgId", "UserId", "SessionId", "PageId", "Seq", "PageStart", "DeltaT"))


def read_upload(text: bytes, place: Span) -> SocketUpload | None:
    """Return the upload in a frame's ``Bundle``, which is at ``place`` in the message; None where it is no object.

    Raise UnclearError where two readers could read it in two ways (rules.md 4).
    """
    content = text[place[0] : place[1]]
    try:
        places, end = places_of(content, skip_blank(content, 0), _NAMES)
    except ScanError:
        return None
    if skip_blank(content, end) != len(content):
        return None
    values = {name: value_of(content[start:end], LONGEST_SCALAR) for name, (start, end) in places.items()}
    start, end = places.get("Bundle", (0, 0))
    return SocketUpload(_ids(values), (start + place[0], end + place[0]))


def _ids(values: dict[str, Any]) -> BundleQuery:
    get = values.get
    return BundleQuery(
        org_id=usable_id(get("OrgId")),
        user_id=usable_id(get("UserId")),
        session_id=usable_id(get("SessionId")),
        page_id=usable_id(get("PageId")),
        page_start=_number(get("PageStart")),
    )


def _number(value: Any) -> float | None:
    # A whole number may be too large for a float.
    return float(value) if type(value) in (int, float) and abs(value) < 1e18 else None
