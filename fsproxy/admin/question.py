"""An operator's question about a session, and the request that it describes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from fsproxy.admin.state_answers import about
from fsproxy.core.model import Location, Route, SessionFacts
from fsproxy.core.wire.client_address import ClientAddress, ClientAddresses, parse_address
from fsproxy.core.wire.facts import BundleQuery, bundle_facts, bundle_query, page_facts
from fsproxy.core.wire.header_values import Headers, index
from fsproxy.core.wire.page import AmbiguousPage, PageBody, read_page
from fsproxy.proxy.generation import Generation

PEER = "127.0.0.1"
_ZONE = re.compile("[A-Z][A-Z0-9](-[A-Z0-9]{1,3})?")
"""Codes for an unknown country, such as XX and T1, match as well."""


class UnanswerableError(ValueError):
    """A question that cannot be answered: ``key`` is the field that is wrong."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(f"{key}: {text}")
        self.key = key
        self.text = text


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session to explain: its url and whatever else is known, or a request, or the audit line of a request alone."""

    url: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    org: str | None = None
    country: Annotated[str | None, about("ISO 3166: US or US-CA. Without it: as geo.source finds it.")] = None
    cookies: Annotated[tuple[str, ...], about("name=value each.")] = ()
    app_id: Annotated[str | None, about("The uid given to FS.identify.")] = None
    user_id: str | None = None
    session_id: str | None = None
    origin: Annotated[str | None, about("Without it: the URL's.")] = None
    headers: Annotated[tuple[str, ...], about("Name: value each.")] = ()
    request: Annotated[
        dict[str, Any],
        about(
            "A recorded request (method, url, headers, body) or a page request's body alone. The other "
            "fields replace what it says."
        ),
    ] = {}
    record: Annotated[
        dict[str, Any] | None,
        about("An audit line: decided by what it holds, as fsproxy why and replay do. No other field goes with it."),
    ] = None


_decode = msgspec.json.Decoder(Question).decode


def read_question(body: bytes) -> Question:
    """Read a question from JSON. Raise ValueError with what is wrong."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error) or "nested too deep") from None


@dataclass(frozen=True, slots=True)
class RequestInQuestion:
    """The request that a question describes."""

    path: str
    route: Route
    page: PageBody
    query: BundleQuery
    headers: Headers
    client: ClientAddress
    location: Location | None

    def facts(self) -> SessionFacts:
        """Return what the filters get to see of it."""
        if self.route is not Route.PAGE:
            return bundle_facts(self.route, self.query, self.headers, self.client, self.location)
        fresh = "" if self.page.user_id else "a-first-visit"
        return page_facts(self.page, self.headers, self.client, self.location, fresh_user_id=fresh)


def request_of(generation: Generation, question: Question) -> RequestInQuestion:
    """Return the request that the question describes. Raise UnanswerableError."""
    recorded = {"body": question.request} if "OrgId" in question.request else question.request
    header_fields = recorded.get("headers") or {}
    if not isinstance(header_fields, dict):
        raise UnanswerableError("request", "headers is an object of names and values")
    target = str(recorded.get("url") or "/rec/page")
    body = recorded.get("body")
    matched = generation.routes.match(str(recorded.get("method") or "POST"), target, has_body=bool(body))
    route, query = matched.route, bundle_query(target.partition("?")[2])
    if "#" in target or matched.ambiguous or (query.contradictory and route is not Route.OTHER):
        raise UnanswerableError("request", "the url can be read in two ways: it is answered 400")
    page = _page(body, route)
    given = {"url": question.url, "org_id": question.org, "app_id": question.app_id}
    given |= {"user_id": question.user_id, "session_id": question.session_id}
    page = msgspec.structs.replace(page, **{k: v for k, v in given.items() if v is not None})
    headers = _headers(header_fields, question, page)
    client = generation.clients.resolve(PEER, headers)
    if question.ip:
        client = _client_at(generation.clients, question.ip, headers)
    elif str(client.address) == PEER:
        # No header names the visitor, so the address is unknown. The proxy's own must not match a rule in its place.
        client = msgspec.structs.replace(client, address=None)
    return RequestInQuestion(
        target.partition("?")[0], route, page, query, headers, client, _location(question.country or "")
    )


def _location(country: str) -> Location | None:
    code = country.upper()
    if code and _ZONE.fullmatch(code) is None:
        raise UnanswerableError("country", "a code as in ISO 3166 is expected, such as US or US-CA")
    return Location(code.partition("-")[0], code if "-" in code else None) if code else None


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


def _headers(recorded: Mapping[str, object], question: Question, page: PageBody) -> Headers:
    if any(":" not in line for line in question.headers):
        raise UnanswerableError("headers", "Name: value is expected")
    pairs = [(str(name), str(value)) for name, value in recorded.items()]
    pairs += [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in question.headers)]
    if question.user_agent is not None:
        pairs.append(("User-Agent", question.user_agent))
    pairs += [("Cookie", cookie) for cookie in question.cookies]
    origin = question.origin
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
