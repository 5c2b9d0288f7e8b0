"""The proxy's own answers, as the whole bytes of an HTTP/1.1 response (rules.md 1 and 4)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus

import msgspec

from fsproxy.core.failures import Failure
from fsproxy.core.matching.hosts import MAX_HOST
from fsproxy.core.model import Route
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.wire.page import host_of

JSON = b"application/json"
PROBLEM = b"application/problem+json"
"""RFC 9457."""

_ORIGIN = re.compile(rb"(?:null|[A-Za-z][A-Za-z0-9+.-]{0,30}://[A-Za-z0-9._~\[\]:%!$&'()*+=-]{0,255})\Z")
"""Apps and extensions have schemes of their own, and a ``file://`` origin has no host."""
_EXPOSED = b"X-Request-Id, FSProxy-Rejected, Retry-After, RateLimit, RateLimit-Policy"
_json = msgspec.json.encode

_BLOCK = {
    code: b'{"reason_code": %d, "reason": %b, "cookie_domain": ' % (int(code), _json(code.text)) for code in ReasonCode
}

OriginAllowed = Callable[[str], bool]
"""Returns whether a serialised origin (``https://a.example``) gets credentialed CORS headers."""

Registrable = Callable[[str], str | None]
"""Returns the registrable domain of a host by the public suffix list; None if it has none."""


def cookie_domain(url: object, registrable: Registrable | None = None) -> str:
    """Return the domain for the recorder's cookie: the page's registrable domain, else its host."""
    host = host_of(url)
    return _known_domain(host, registrable) if len(host) <= MAX_HOST else _domain(host, registrable)


def _domain(host: str, registrable: Registrable | None) -> str:
    if registrable is None or not host or host[0] == "[" or host.rpartition(".")[2].isdigit():
        return host
    return registrable(host) or host


_known_domain = lru_cache(maxsize=4096)(_domain)


def block_body(code: ReasonCode, domain: str, *, user_id: str = "") -> bytes:
    """Return the body of a block answer (rules.md 1). The client of a ramped-out first visit keeps ``user_id``."""
    if not user_id and len(domain) <= MAX_HOST:
        return _known_body(code, domain)
    body = _BLOCK[code] + _json(domain)
    return body + (b', "user_id": %b}' % _json(user_id) if user_id else b"}")


@lru_cache(maxsize=2048)
def _known_body(code: ReasonCode, domain: str) -> bytes:
    return _BLOCK[code] + _json(domain) + b"}"


@dataclass(frozen=True, slots=True)
class OwnAnswers:
    """Makes the answers. ``origins`` says who gets credentialed CORS headers; None: any origin.

    In the methods, ``origin`` is the request's ``Origin`` as it came; None if there is none, or the route is no capture
    route. With ``close`` the answer announces the end of the connection.
    """

    origins: OriginAllowed | None = None

    def failure(
        self,
        failure: Failure,
        route: Route,
        origin: bytes | None,
        request_id: bytes,
        *,
        close: bool = False,
    ) -> bytes:
        """Return a problem document, with CORS headers on capture routes only."""
        status = failure.status_on(route)
        return self.answer(
            status,
            problem(failure, status),
            origin,
            request_id,
            content_type=PROBLEM,
            extra=_EXTRA.get(failure, ()),
            close=close,
            capture=route is not Route.OTHER,
        )

    def answer(
        self,
        status: int,
        body: bytes,
        origin: bytes | None,
        request_id: bytes,
        *,
        content_type: bytes = JSON,
        rejected: int | None = None,
        retry_after: int | None = None,
        extra: tuple[tuple[str, str], ...] = (),
        close: bool = False,
        capture: bool = True,
    ) -> bytes:
        """Return an answer. ``rejected``: ``FSProxy-Rejected``; ``retry_after``: seconds; ``extra``: more headers."""
        return b"%b%b%b%b%bX-Request-Id: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            _start(status, content_type, close),
            (_VARY if origin is None else self._cors(origin)) if capture else b"",
            b"" if rejected is None else b"FSProxy-Rejected: %d\r\n" % rejected,
            b"" if retry_after is None else b"Retry-After: %d\r\n" % retry_after,
            "".join(f"{name}: {value}\r\n" for name, value in extra).encode("ascii") if extra else b"",
            request_id,
            len(body),
            body,
        )

    def _cors(self, origin: bytes) -> bytes:
        lines = _cors_lines(origin)
        if lines is not _VARY and self.origins is not None and not self.origins(origin.decode("ascii")):
            return _VARY
        return lines


_EXTRA = {Failure.SOCKET_VERSION: (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))}
"""Additional headers of a failure's answer (RFC 6455 4.2.2)."""
_VARY = b"Vary: Origin\r\n"


@lru_cache(maxsize=1024)
def _cors_lines(origin: bytes) -> bytes:
    # Only a plain origin is echoed: nothing that a client sends may become a header line of its own.
    if not _ORIGIN.match(origin):
        return _VARY
    return (
        b"Access-Control-Allow-Origin: %b\r\nAccess-Control-Allow-Credentials: true\r\n"
        b"Access-Control-Expose-Headers: %b\r\n%b" % (origin, _EXPOSED, _VARY)
    )


@lru_cache(maxsize=128)
def _start(status: int, content_type: bytes, close: bool) -> bytes:  # noqa: FBT001 - a cache's key
    return b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nCache-Control: no-store\r\n%b" % (
        status,
        HTTPStatus(status).phrase.encode("ascii"),
        content_type,
        b"Connection: close\r\n" if close else b"",
    )


@lru_cache(maxsize=64)
def problem(failure: Failure, status: int) -> bytes:
    """Return the problem document of a failure (RFC 9457)."""
    return _json({"type": "about:blank", "title": failure.summary, "status": status, "detail": failure.detail})
