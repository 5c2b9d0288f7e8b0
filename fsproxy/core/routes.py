"""Which requests carry what: by method, and by path as RFC 3986 6.2.2 makes equal paths equal (rules.md 4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from fsproxy.core.model import Route

_SERVER_PATHS = ("/v2/events", "/v2/users", "/v2/events/batch", "/v2/users/batch")
_INDIVIDUAL = re.compile(r"/users/v1/individual/[^/]+/(?:customvars|customevent)\Z")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def origin_form(target: str) -> str:
    """The target without the scheme and authority that a request to a proxy may carry (RFC 9112 3.2.2)."""
    if target[:1] == "/":
        return target
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        return target
    rest = target[absolute.end() :]
    return rest if rest[:1] == "/" else f"/{rest}"


def normal_path(path: str) -> str:
    """Escapes of unreserved characters decoded, others in upper case, dot segments removed."""
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
            # The empty segment before the first slash is the root, above which nothing is.
            del kept[max(1, len(kept) - 1) :]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/".join(kept)


@dataclass(frozen=True, slots=True)
class Routes:
    """The ``routes`` section, compiled."""

    post: Mapping[str, Route]
    get: Mapping[str, Route]
    server_api: bool

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
    ) -> Self:
        """Compile; where one path is listed twice, the first of page, bundle, event, direct, server API counts."""
        listed: list[tuple[Route, Iterable[str]]] = [
            (Route.PAGE, page),
            (Route.BUNDLE, bundle),
            (Route.EVENT, event),
            (Route.DIRECT_EVENT, (direct_event,) if direct_event else ()),
            (Route.DIRECT_IDENTIFY, (direct_identify,) if direct_identify else ()),
            (Route.DIRECT_SET_USER_VARS, (direct_set_user_vars,) if direct_set_user_vars else ()),
            (Route.SERVER_API, _SERVER_PATHS if server_api else ()),
        ]
        post: dict[str, Route] = {}
        for route, paths in listed:
            for path in paths:
                post.setdefault(normal_path(path), route)
        return cls(post, {normal_path(path): Route.SOCKET for path in socket}, server_api)

    def match(self, method: str, target: str) -> Route:
        """The route of a request; ``target`` as it stands in the request line, with its query or without."""
        if method == "POST":
            table = self.post
        elif method == "GET":
            table = self.get
        else:
            return Route.OTHER
        path = target.partition("?")[0]
        route = table.get(path)
        if route is not None:
            return route
        if "%" in path or "/." in path or path[:1] != "/":
            path = normal_path(origin_form(path).partition("#")[0])
            route = table.get(path)
            if route is not None:
                return route
        if self.server_api and table is self.post and _INDIVIDUAL.match(path):
            return Route.SERVER_API
        return Route.OTHER
