"""A question of an operator about a session, and the facts that the filters get for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from fsproxy.core.model import Location, Route, SessionFacts
from fsproxy.core.wire.client_address import ClientAddress, ClientAddresses, parse_address
from fsproxy.core.wire.facts import BundleQuery, bundle_facts, bundle_query, page_facts
from fsproxy.core.wire.header_values import Headers, index
from fsproxy.core.wire.page import AmbiguousPage, PageBody, read_page
from fsproxy.proxy.generation import Generation

PEER = "127.0.0.1"
_ZONE = re.compile("[A-Z][A-Z0-9](-[A-Z0-9]{1,3})?")
"""Also what says that a country is not known, such as XX and T1."""


class UnanswerableError(ValueError):
    """A question that cannot be answered: ``key`` is what is wrong of it."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(f"{key}: {text}")
        self.key = key
        self.text = text


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session to be explained; what is not known is left out. A field goes over what ``request`` says of it."""

    url: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    org: str | None = None
    country: str | None = None
    """ISO 3166, e.g. ``US`` or ``US-CA``; None: as ``geo.source`` finds it."""
    cookies: tuple[str, ...] = ()
    """``name=value`` each."""
    app_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    origin: str | None = None
    """None: the URL's."""
    headers: tuple[str, ...] = ()
    """``Name: value`` each."""
    request: dict[str, Any] = {}
    """A recorded request (method, url, headers, body), or a page request's body alone."""
    record: dict[str, Any] | None = None
    """An audit line, in place of all other fields (``explaining_record``)."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request that is to be explained."""

    route: Route
    page: PageBody
    query: BundleQuery
    headers: Headers
    client: ClientAddress
    location: Location | None


def question_of(generation: Generation, asked: Asked) -> Question:
    """Return the request that the question describes. Raises UnanswerableError."""
    # A page's body alone is also taken.
    recorded = {"body": asked.request} if "OrgId" in asked.request else asked.request
    said = recorded.get("headers") or {}
    if not isinstance(said, dict):
        raise UnanswerableError("request", "headers is an object of names and values")
    target = str(recorded.get("url") or "/rec/page")
    body = recorded.get("body")
    matched = generation.routes.match(str(recorded.get("method") or "POST"), target, has_body=bool(body))
    route, query = matched.route, bundle_query(target.partition("?")[2])
    if "#" in target or matched.ambiguous or (query.contradictory and route is not Route.OTHER):
        raise UnanswerableError("request", "the url can be read in two ways: it is answered 400")
    page = _page(body, route)
    given = {"url": asked.url, "org_id": asked.org, "app_id": asked.app_id}
    given |= {"user_id": asked.user_id, "session_id": asked.session_id}
    page = msgspec.structs.replace(page, **{k: v for k, v in given.items() if v is not None})
    headers = _headers(said, asked, page)
    client = generation.clients.resolve(PEER, headers)
    if asked.ip:
        client = _client_at(generation.clients, asked.ip, headers)
    elif str(client.address) == PEER:
        # No header names the visitor: the address is not known, and no rule may take the proxy in front for it.
        client = msgspec.structs.replace(client, address=None)
    code = (asked.country or "").upper()
    if code and _ZONE.fullmatch(code) is None:
        raise UnanswerableError("country", "a code as in ISO 3166 is expected, such as US or US-CA")
    country = code.partition("-")[0]
    return Question(
        route,
        page,
        query,
        headers,
        client,
        Location(country, code if "-" in code else None) if country else None,
    )


def _page(body: object, route: Route) -> PageBody:
    if body is None:
        return PageBody()
    text = body if isinstance(body, str) else json.dumps(body)
    page = read_page(text.encode(errors="surrogatepass"))
    if page is None and route is Route.PAGE:
        raise UnanswerableError("request", "the page's body is not a JSON object: it is answered 400")
    if isinstance(page, AmbiguousPage):
        raise UnanswerableError("request", "the page has a name in other letters: ask for each of its two readings")
    return page or PageBody()


def _client_at(clients: ClientAddresses, ip: str, headers: Headers) -> ClientAddress:
    address = parse_address(ip)
    if address is None:
        raise UnanswerableError("ip", "not an address")
    # The headers count as if a trusted proxy had passed them on.
    return msgspec.structs.replace(clients.resolve(None, headers), address=address, trusted=True)


def _headers(said: Mapping[str, object], asked: Asked, page: PageBody) -> Headers:
    if any(":" not in line for line in asked.headers):
        raise UnanswerableError("headers", "Name: value is expected")
    pairs = [(str(name), str(value)) for name, value in said.items()]
    pairs += [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in asked.headers)]
    if asked.user_agent is not None:
        pairs.append(("User-Agent", asked.user_agent))
    pairs += [("Cookie", cookie) for cookie in asked.cookies]
    origin = asked.origin
    names = {name.lower() for name, _ in pairs}
    if origin is None and "origin" not in names and isinstance(page.url, str):
        origin = _origin_of(page.url)
    if origin is not None:
        pairs.append(("Origin", origin))
    return index(tuple((n.encode("latin-1", "replace"), v.encode("utf-8", "surrogatepass")) for n, v in pairs))


def _origin_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None


def facts_of(question: Question) -> SessionFacts:
    """Return what the filters get to see of it."""
    if question.route is not Route.PAGE:
        return bundle_facts(question.route, question.query, question.headers, question.client, question.location)
    fresh = "" if question.page.user_id else "a-first-visit"
    return page_facts(question.page, question.headers, question.client, question.location, fresh_user_id=fresh)
