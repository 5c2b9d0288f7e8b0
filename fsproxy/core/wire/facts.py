"""The facts of a request that the filters look at, and the query of an upload (rules.md 1, wire.md 2)."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from fsproxy.core.matching.hosts import parse_url
from fsproxy.core.model import LONGEST_ID as LONGEST_ID  # noqa: PLC0414 - ids are cut here
from fsproxy.core.model import PAGE, Encoding, Location, Route, SessionFacts
from fsproxy.core.wire.client_address import ClientAddress
from fsproxy.core.wire.cookies import uid_cookie
from fsproxy.core.wire.header_values import Headers
from fsproxy.core.wire.page import PageBody
from fsproxy.core.wire.queries import read_query


class BundleQuery(msgspec.Struct, frozen=True, gc=False):
    """The query of a bundle or event upload (wire.md 2). Times are in milliseconds; None for what is no number."""

    org_id: str = ""
    user_id: str = ""
    session_id: str = ""
    page_id: str = ""
    page_start: float | None = None
    client_time: float | None = None
    encoding: Encoding = Encoding.IDENTITY
    """By the parameter ``ContentEncoding`` alone, whatever the header ``Content-Encoding`` says."""
    contradictory: bool = False
    """A parameter that decisions depend on has different values to different readers (rules.md 4)."""


NO_QUERY = BundleQuery()


def bundle_query(raw_query: str) -> BundleQuery:
    """Return what a raw query holds. Never raise."""
    found, contradictory = read_query(raw_query)
    get = found.get
    ids = get("OrgId", ""), get("UserId", ""), get("SessionId", ""), get("PageId", "")
    if max(map(len, ids)) > LONGEST_ID:
        ids = usable_id(ids[0]), usable_id(ids[1]), usable_id(ids[2]), usable_id(ids[3])
    start, sent, encoding = get("PageStart"), get("ClientTime"), get("ContentEncoding")
    return BundleQuery(
        *ids,
        _number(start) if start else None,
        _number(sent) if sent else None,
        _ENCODINGS.get(encoding, _UNKNOWN) if encoding else _IDENTITY,
        contradictory,
    )


_IDENTITY, _UNKNOWN = Encoding.IDENTITY, Encoding.UNKNOWN
_ENCODINGS = {"identity": _IDENTITY, "gzip": Encoding.GZIP}


def usable_id(value: object) -> str:
    """Return the id; "" for a value that is no string, or longer than any id."""
    return value if isinstance(value, str) and len(value) <= LONGEST_ID else ""


def _number(text: str) -> float | None:
    if len(text) > 32 or "_" in text:
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
    """Return the facts of a page request.

    The session is the page's ``SessionId``, else the one of the ``fs_uid`` cookie for the same org.
    """
    ids: Any = body.org_id or "", body.session_id or "", body.page_id or "", body.user_id or "", body.app_id or ""
    try:
        ordinary = len("".join(ids)) <= LONGEST_ID
    except TypeError:
        ordinary = False
    org, session, page, user, app = ids if ordinary else map(usable_id, ids)
    origin, agent, cookies, gpc, dnt = _of_headers(headers)
    return SessionFacts(  # by position, which takes a third of the time
        PAGE,
        org or None,
        session or _session_of_cookie(cookies, org),
        page,
        user,
        fresh_user_id,
        app,
        (),
        body.url,
        parse_url(body.url) if isinstance(body.url, str) else None,
        body.compiled_timestamp,
        body.compiled_version,
        body.snippet_version,
        origin,
        client.address,
        agent,
        location,
        cookies,
        gpc,
        dnt,
    )


def bundle_facts(
    route: Route,
    query: BundleQuery,
    headers: Headers,
    client: ClientAddress,
    location: Location | None = None,
) -> SessionFacts:
    """Return the facts of a capture request that is no page, or of a socket's upgrade or frame."""
    origin, agent, cookies, gpc, dnt = _of_headers(headers)
    return SessionFacts(
        route=route,
        org=query.org_id or None,
        session_id=query.session_id or _session_of_cookie(cookies, query.org_id),
        page_id=query.page_id,
        user_id=query.user_id,
        origin=origin,
        client_ip=client.address,
        user_agent=agent,
        location=location,
        cookies=cookies,
        gpc=gpc,
        dnt=dnt,
    )


def _of_headers(headers: Headers) -> tuple[str | None, str | None, str, bool, bool]:
    """Return the origin, the User-Agent, the cookies, and whether the visitor sends ``Sec-GPC`` and ``DNT``."""
    get = headers.get
    origin, agent, cookies = get(b"origin"), get(b"user-agent"), get(b"cookie")
    return (
        None if origin is None else origin.decode("utf-8", "surrogateescape"),
        None if agent is None else agent.decode("utf-8", "surrogateescape"),
        "" if cookies is None else cookies.decode("utf-8", "surrogateescape"),
        get(b"sec-gpc") == b"1",
        get(b"dnt") == b"1",
    )


def _session_of_cookie(cookies: str, org: str) -> str:
    uid = uid_cookie(cookies)
    return usable_id(uid.session) if uid is not None and uid.org == org else ""
