"""The upload inside a recorder's frame: the body, and around it the ids that HTTP has in the query (wire.md 7)."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from fsproxy.core.json.scanner import ScanError, Span, skip_blank
from fsproxy.core.wire.facts import BundleQuery, usable_id
from fsproxy.core.wire.one_reading import by_fold, places_of
from fsproxy.core.wire.sockets.frames import BUNDLE_FIRST, end_of_bundle, value_of

LONGEST_SCALAR = 2048
"""Bytes of an id or a number that is read. A longer one counts as missing, as in a query."""


class SocketUpload(msgspec.Struct, frozen=True, gc=False):
    """A frame's upload."""

    ids: BundleQuery
    """Without ``client_time``, which frames do not carry."""
    place: Span
    """The place of the body in the message; empty without one."""


_NUMBER = rb"-?[0-9]{1,15}(?:\.[0-9]{1,9})?"
_RECORDED = re.compile(
    rb'(?:,"DeltaT":%(number)b)?,"OrgId":"(?P<org>%(text)b)","PageId":"(?P<page>%(text)b)"'
    rb',"PageStart":(?P<start>%(number)b),"PrevBundleTime":%(number)b,"Seq":[0-9]{1,15}'
    rb',"SessionId":"(?P<session>%(text)b)","UserId":"(?P<user>%(text)b)"\}'
    % {b"number": _NUMBER, b"text": rb'[^"\\\x00-\x1f]*'}
)
"""What follows the body in frames as recorders write them. Any other frame is scanned."""
_NAMES = by_fold(("Bundle", "OrgId", "UserId", "SessionId", "PageId", "Seq", "PageStart", "DeltaT"))


def read_upload(text: bytes, place: Span) -> SocketUpload | None:
    """Return the upload in a frame's ``Bundle``, which is at ``place`` in the message; None where it is no object.

    Raise UnclearError where two readers could read it in two ways (rules.md 4).
    """
    content = text[place[0] : place[1]]
    try:
        ids, body = _recorded(content) or _scanned(content)
    except ScanError:
        return None
    return SocketUpload(ids, (body[0] + place[0], body[1] + place[0]))


def _recorded(content: bytes) -> tuple[BundleQuery, Span] | None:
    """Read a ``Bundle`` as recorders of all four generations write it; None leaves it to the scanner."""
    end = end_of_bundle(content)
    found = _RECORDED.fullmatch(content, end) if end is not None else None
    if end is None or found is None:
        return None
    try:
        org, page, session, user = map(usable_id, map(bytes.decode, found.group("org", "page", "session", "user")))
    except UnicodeDecodeError:
        return None
    return BundleQuery(org, user, session, page, float(found["start"])), (len(BUNDLE_FIRST), end)


def _scanned(content: bytes) -> tuple[BundleQuery, Span]:
    places, end = places_of(content, skip_blank(content, 0), _NAMES)
    if skip_blank(content, end) != len(content):
        raise ScanError
    values = {name: value_of(content[start:end], LONGEST_SCALAR) for name, (start, end) in places.items()}
    return _ids(values), places.get("Bundle", (0, 0))


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
