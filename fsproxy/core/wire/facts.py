"""From a request to the facts that the filters know: of a page, and of everything else (rules.md 1)."""

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
"""Characters of an id; no longer one is valid (rules.md 2, ``uid``), and ids are remembered: taken as missing."""
UID_COOKIE = "fs_uid"


class BundleQuery(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The query of a bundle or event upload (wire.md 2). Milliseconds; what is missing or no number is None."""

    org_id: str = ""
    user_id: str = ""
    session_id: str = ""
    page_id: str = ""
    seq: int | None = None
    page_start: float | None = None
    client_time: float | None = None
    delta_t: float | None = None
    encoding: Encoding = Encoding.IDENTITY
    """By ``ContentEncoding`` alone; the ``Content-Encoding`` header is not its matter."""
    skip_response_body: bool = False
    contradictory: bool = False
    """A parameter that is judged by has one value to one reader and another to another (rules.md 4)."""


NO_QUERY = BundleQuery()


def bundle_query(raw_query: str) -> BundleQuery:
    """Read a raw query, whole. Nothing raises; ``contradictory`` says that it cannot be read in one way only."""
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
        skip_response_body=get("SkipResponseBody") == "true",
        contradictory=contradictory,
    )


_ENCODINGS = {"": Encoding.IDENTITY, "identity": Encoding.IDENTITY, "gzip": Encoding.GZIP}


def usable_id(value: object) -> str:
    """The id, or "" for what is none: no string, or longer than any id is."""
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
    headers: Mapping[bytes, bytes],
    client: ClientAddress,
    location: Location | None = None,
    fresh_user_id: str = "",
) -> SessionFacts:
    """Facts of a page request. ``headers``: ``header_values.index``'s.

    The session is the page's ``SessionId``, else the ``fs_uid`` cookie's for the same org.
    """
    org = usable_id(body.org_id) or None
    said = _said(headers)
    return SessionFacts(
        route=Route.PAGE,
        org=org,
        session_id=usable_id(body.session_id) or _session_of_cookie(said.cookies, org),
        page_id=usable_id(body.page_id),
        user_id=usable_id(body.user_id),
        fresh_user_id=fresh_user_id,
        app_id=usable_id(body.app_id),
        url=body.url,
        compiled_timestamp=body.compiled_timestamp,
        compiled_version=body.compiled_version,
        snippet_version=body.snippet_version,
        origin=said.origin,
        client_ip=client.address,
        user_agent=said.user_agent,
        location=location,
        cookies=said.cookies,
        gpc=said.gpc,
        dnt=said.dnt,
    )


def bundle_facts(
    route: Route,
    query: BundleQuery,
    headers: Mapping[bytes, bytes],
    client: ClientAddress,
    location: Location | None = None,
    app_id: str = "",
) -> SessionFacts:
    """Facts of a bundle, an event upload, a socket's upgrade or a direct call: what is there of them."""
    org = query.org_id or None
    said = _said(headers)
    return SessionFacts(
        route=route,
        org=org,
        session_id=query.session_id or _session_of_cookie(said.cookies, org),
        page_id=query.page_id,
        user_id=query.user_id,
        app_id=app_id,
        origin=said.origin,
        client_ip=client.address,
        user_agent=said.user_agent,
        location=location,
        cookies=said.cookies,
        gpc=said.gpc,
        dnt=said.dnt,
    )


class _Said(msgspec.Struct, frozen=True, gc=False):
    """What a request's headers tell the filters."""

    origin: str | None
    user_agent: str | None
    cookies: Mapping[str, str]
    gpc: bool
    dnt: bool


def _said(headers: Mapping[bytes, bytes]) -> _Said:
    if not isinstance(headers, Headers):
        return _read(headers)
    known = headers.said
    if not isinstance(known, _Said):
        known = headers.said = _read(headers)
    return known


def _read(headers: Mapping[bytes, bytes]) -> _Said:
    return _Said(
        _text(headers, b"origin"),
        _text(headers, b"user-agent"),
        _cookies(headers),
        headers.get(b"sec-gpc") == b"1",
        headers.get(b"dnt") == b"1",
    )


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return value.decode("utf-8", "surrogateescape") if value is not None else None


def _cookies(headers: Mapping[bytes, bytes]) -> Mapping[str, str]:
    header = headers.get(b"cookie")
    return parse_cookies(header.decode("utf-8", "surrogateescape")) if header else NO_COOKIES


def _session_of_cookie(cookies: Mapping[str, str], org: str | None) -> str:
    value = cookies.get(UID_COOKIE)
    if value is None:
        return ""
    uid = parse_uid_cookie(value)
    return usable_id(uid.session) if uid is not None and uid.org == org else ""
