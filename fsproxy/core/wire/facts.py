"""The facts of a request that the filters look at, and the query of an upload (rules.md 1, wire.md 2)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from fsproxy.core.model import NO_COOKIES, Encoding, Location, Route, SessionFacts
from fsproxy.core.wire.client_address import ClientAddress
from fsproxy.core.wire.cookies import parse_cookies, parse_uid_cookie
from fsproxy.core.wire.header_values import Headers
from fsproxy.core.wire.page import PageBody
from fsproxy.core.wire.queries import read_query

LONGEST_ID = 256
"""Characters of an id. No longer one is valid (rules.md 2, ``uid``), and ids are remembered: it counts as missing."""
UID_COOKIE = "fs_uid"


class BundleQuery(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The query of a bundle or event upload (wire.md 2). Times are in milliseconds; None for what is no number."""

    org_id: str = ""
    user_id: str = ""
    session_id: str = ""
    page_id: str = ""
    seq: int | None = None
    page_start: float | None = None
    client_time: float | None = None
    delta_t: float | None = None
    encoding: Encoding = Encoding.IDENTITY
    """By the parameter ``ContentEncoding`` alone, whatever the header ``Content-Encoding`` says."""
    contradictory: bool = False
    """A parameter that decisions depend on has different values to different readers (rules.md 4)."""


NO_QUERY = BundleQuery()


def bundle_query(raw_query: str) -> BundleQuery:
    """Return what a raw query holds. Never raise."""
    found, contradictory = read_query(raw_query)
    get = found.get
    return BundleQuery(
        org_id=usable_id(get("OrgId")),
        user_id=usable_id(get("UserId")),
        session_id=usable_id(get("SessionId")),
        page_id=usable_id(get("PageId")),
        seq=_whole(get("Seq", "")),
        page_start=_number(get("PageStart", "")),
        client_time=_number(get("ClientTime", "")),
        delta_t=_number(get("DeltaT", "")),
        encoding=_ENCODINGS.get(get("ContentEncoding", ""), Encoding.UNKNOWN),
        contradictory=contradictory,
    )


_ENCODINGS = {"": Encoding.IDENTITY, "identity": Encoding.IDENTITY, "gzip": Encoding.GZIP}


def usable_id(value: object) -> str:
    """Return the id; "" for a value that is no string, or longer than any id."""
    return value if isinstance(value, str) and len(value) <= LONGEST_ID else ""


def _whole(text: str) -> int | None:
    return int(text) if len(text) < 16 and text.isascii() and text.isdigit() else None


def _number(text: str) -> float | None:
    if not text or len(text) > 32 or "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def page_facts(
    body: PageBody,
    headers: Headers,
    client: ClientAddress,
    location: Location | None = None,
    fresh_user_id: str = "",
) -> SessionFacts:
    """Return the facts of a page request. ``headers`` are those of ``header_values.index``.

    The session is the page's ``SessionId``, else the one of the ``fs_uid`` cookie for the same org.
    """
    org = usable_id(body.org_id) or None
    shown = _header_facts(headers)
    return SessionFacts(
        route=Route.PAGE,
        org=org,
        session_id=usable_id(body.session_id) or _session_of_cookie(shown.cookies, org),
        page_id=usable_id(body.page_id),
        user_id=usable_id(body.user_id),
        fresh_user_id=fresh_user_id,
        app_id=usable_id(body.app_id),
        url=body.url,
        compiled_timestamp=body.compiled_timestamp,
        compiled_version=body.compiled_version,
        snippet_version=body.snippet_version,
        origin=shown.origin,
        client_ip=client.address,
        user_agent=shown.user_agent,
        location=location,
        cookies=shown.cookies,
        gpc=shown.gpc,
        dnt=shown.dnt,
    )


def bundle_facts(
    route: Route,
    query: BundleQuery,
    headers: Headers,
    client: ClientAddress,
    location: Location | None = None,
) -> SessionFacts:
    """Return the facts of a capture request that is no page, or of a socket's upgrade or frame."""
    org = query.org_id or None
    shown = _header_facts(headers)
    return SessionFacts(
        route=route,
        org=org,
        session_id=query.session_id or _session_of_cookie(shown.cookies, org),
        page_id=query.page_id,
        user_id=query.user_id,
        origin=shown.origin,
        client_ip=client.address,
        user_agent=shown.user_agent,
        location=location,
        cookies=shown.cookies,
        gpc=shown.gpc,
        dnt=shown.dnt,
    )


class _HeaderFacts(msgspec.Struct, frozen=True, gc=False):
    """The facts that are in a request's headers."""

    origin: str | None
    user_agent: str | None
    cookies: Mapping[str, str]
    gpc: bool
    dnt: bool


def _header_facts(headers: Headers) -> _HeaderFacts:
    """Return them, and keep them for the next request that has the same lines."""
    known = headers.facts
    if not isinstance(known, _HeaderFacts):
        known = headers.facts = _read(headers)
    return known


def _read(headers: Headers) -> _HeaderFacts:
    return _HeaderFacts(
        _text(headers, b"origin"),
        _text(headers, b"user-agent"),
        _cookies(headers),
        headers.get(b"sec-gpc") == b"1",
        headers.get(b"dnt") == b"1",
    )


def _text(headers: Headers, name: bytes) -> str | None:
    value = headers.get(name)
    return value.decode("utf-8", "surrogateescape") if value is not None else None


def _cookies(headers: Headers) -> Mapping[str, str]:
    header = headers.get(b"cookie")
    return parse_cookies(header.decode("utf-8", "surrogateescape")) if header else NO_COOKIES


def _session_of_cookie(cookies: Mapping[str, str], org: str | None) -> str:
    value = cookies.get(UID_COOKIE)
    if value is None:
        return ""
    uid = parse_uid_cookie(value)
    return usable_id(uid.session) if uid is not None and uid.org == org else ""
