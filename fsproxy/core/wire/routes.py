"""Finds the route of a request, by its method, its body, and any path that an upstream could read (rules.md 4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from fsproxy.core.client_api.reading.server_api import FIXED_PATHS, ServerCall, server_call
from fsproxy.core.model import Route
from fsproxy.core.wire.path_readings import spellings
from fsproxy.core.wire.rewrites import Rewrite, first_rewritten

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def origin_form(target: str) -> str:
    """Return the target without the scheme and authority that a request to a proxy may have (RFC 9112 3.2.2)."""
    if target[:1] == "/":
        return target
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        return target
    rest = target[absolute.end() :]
    return rest if rest[:1] == "/" else f"/{rest}"


def normal_path(path: str) -> str:
    """Return the path with unreserved characters decoded, other escapes in upper case, and no dot segments."""
    if "%" in path:
        path = _ESCAPE.sub(_decoded, path)
    if "/." in path:
        path = _without_dots(path)
    return path


def _decoded(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            # The empty segment before the first slash is the root, and stays.
            del kept[max(1, len(kept) - 1) :]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/".join(kept)


@dataclass(frozen=True, slots=True)
class Matched:
    """The route of a request."""

    route: Route
    endpoint: ServerCall | None = None
    """Only on the server API."""
    ambiguous: bool = False
    """Two readers could take its path for two different capture routes."""


OTHER = Matched(Route.OTHER)


@dataclass(frozen=True, slots=True)
class Routes:
    """The ``routes`` section, compiled."""

    with_body: Mapping[str, Matched]
    """Routes of requests with a body, by the configured paths and all their ``spellings``."""
    socket: Mapping[str, Matched]
    server_api: bool
    rewrites: tuple[Rewrite, ...]

    @classmethod
    def compile(
        cls,
        *,
        page: Iterable[str],
        bundle: Iterable[str],
        event: Iterable[str],
        socket: Iterable[str],
        direct_event: str | None,
        direct_identify: str | None,
        direct_set_user_vars: str | None,
        server_api: bool,
        rewrites: tuple[Rewrite, ...] = (),
    ) -> Self:
        """Compile. Of a path that is listed twice, the first of page, bundle, event, direct, server API counts."""
        listed: list[tuple[Route, Iterable[str]]] = [
            (Route.PAGE, page),
            (Route.BUNDLE, bundle),
            (Route.EVENT, event),
            (Route.DIRECT_EVENT, (direct_event,) if direct_event else ()),
            (Route.DIRECT_IDENTIFY, (direct_identify,) if direct_identify else ()),
            (Route.DIRECT_SET_USER_VARS, (direct_set_user_vars,) if direct_set_user_vars else ()),
        ]
        with_body = [(path, Matched(route)) for route, paths in listed for path in paths]
        if server_api:
            with_body += [(path, Matched(Route.SERVER_API, call)) for path, call in FIXED_PATHS.items()]
        return cls(_table(with_body), _table((path, Matched(Route.SOCKET)) for path in socket), server_api, rewrites)

    def match(self, method: str, target: str, *, has_body: bool = False) -> Matched:
        """Return the route of a request. ``target`` is that of the request line, with its query or without.

        Only a POST, or any other request with a body, can be a capture request; a GET without one can be a socket. A
        path that is no capture route is also looked up as it goes up.
        """
        if method == "POST" or has_body:
            table = self.with_body
        elif method == "GET":
            table = self.socket
        else:
            return OTHER
        found = table.get(target)
        if found is not None:
            return found
        path = target.partition("?")[0]
        found = table.get(path) or self._search(table, origin_form(path).partition("#")[0])
        if found is OTHER and self.rewrites:
            # Nothing reaches a capture route of the upstream unseen, whatever it is called here.
            new = first_rewritten(self.rewrites, path)
            return found if new is None else table.get(new[1]) or self._search(table, new[1])
        return found

    def _search(self, table: Mapping[str, Matched], path: str) -> Matched:
        """Look the path up in every way in which it could be read."""
        found = [each for each in (self._find(table, spelling) for spelling in spellings(path)) if each is not None]
        if not found:
            return OTHER
        first = found[0]
        return first if all(each == first for each in found) else replace(first, ambiguous=True)

    def _find(self, table: Mapping[str, Matched], path: str) -> Matched | None:
        found = table.get(path)
        if found is not None or not self.server_api or table is not self.with_body:
            return found
        endpoint = server_call(path)
        return Matched(Route.SERVER_API, endpoint) if endpoint is not None else None


def _table(listed: Iterable[tuple[str, Matched]]) -> Mapping[str, Matched]:
    table: dict[str, Matched] = {}
    for path, matched in listed:
        for spelling in (path, *spellings(path)):
            table.setdefault(spelling, matched)
    return table
