"""The closed list of what can go wrong with a request, and the client's answer for each (rules.md 4)."""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Self

from fsproxy.core.model import RETRIED_ON_502_ALONE, Route


@unique
class Failure(StrEnum):
    """Why a request failed. The value is for audit lines; summary and detail are for the client."""

    status: int
    """The status of the answer, unless the route needs another one (see ``status_on``)."""
    summary: str
    detail: str

    def __new__(cls, value: str, status: int, summary: str, detail: str) -> Self:  # noqa: D102 - an enum's members
        failure = str.__new__(cls, value)
        failure._value_ = value
        failure.status = status
        failure.summary = summary
        failure.detail = detail
        return failure

    BAD_REQUEST = "bad_request", 400, "Bad request", "The request is not valid HTTP/1.1."
    UNINSPECTABLE = "uninspectable", 400, "Body not readable", "The body is not what this route carries."
    BODY_TIMEOUT = "body_timeout", 408, "Body too slow", "The body did not arrive in time."
    BODY_TOO_LARGE = "body_too_large", 413, "Body too large", "The body is larger than this proxy accepts."
    HEADER_TOO_LARGE = "header_too_large", 431, "Header too large", "The header is larger than this proxy accepts."
    CLIENT_GONE = "client_gone", 499, "Client gone", "The client closed the connection."
    INTERNAL = "internal", 502, "Proxy failed", "The proxy failed."
    METHOD = "method", 405, "Method not allowed", "This proxy does not tunnel to other hosts."
    SOCKET_REFUSED = "socket_refused", 202, "Socket refused", "This proxy does not take socket connections."
    SOCKET_VERSION = "socket_version", 426, "Upgrade required", "This proxy speaks version 13 of WebSocket."
    LOOP = "loop", 508, "Loop detected", "The request has been through this proxy before."
    CLIENT_STALLED = "client_stalled", 499, "Client stalled", "The client stopped reading its answer."
    UPSTREAM_REFUSED = "upstream_refused", 502, "Upstream not reachable", "The upstream does not accept connections."
    UPSTREAM_DNS = "upstream_dns", 502, "Upstream not reachable", "The upstream's name was not found."
    UPSTREAM_TLS = "upstream_tls", 502, "Upstream not reachable", "No secure connection to the upstream."
    UPSTREAM_RESET = "upstream_reset", 502, "Upstream failed", "The upstream closed the connection without an answer."
    UPSTREAM_INVALID = "upstream_invalid", 502, "Upstream failed", "The upstream's answer is not valid HTTP/1.1."
    UPSTREAM_DECLINED = "upstream_declined", 502, "Upstream failed", "The upstream did not accept the socket."
    UPSTREAM_CUT = "upstream_cut", 502, "Upstream failed", "The upstream's answer was cut."
    UPSTREAM_CONNECT_TIMEOUT = "upstream_connect_timeout", 504, "Upstream too slow", "No connection came about in time."
    UPSTREAM_BUSY = "upstream_busy", 503, "Overloaded", "All connections to the upstream are in use."
    UPSTREAM_TIMEOUT = "upstream_timeout", 504, "Upstream too slow", "The upstream did not answer in time."
    OVERLOADED = "overloaded", 503, "Overloaded", "The proxy has too much to do."
    DRAINING = "draining", 503, "Shutting down", "The proxy is shutting down."

    @property
    def is_temporary(self) -> bool:
        """Whether a later try of the same request may succeed."""
        return self.status >= 500 or self.status == 408

    def status_on(self, route: Route) -> int:
        """Return the status of the answer on a route. A recorder retries its uploads on 502 alone (wire.md 2)."""
        return 502 if route in RETRIED_ON_502_ALONE and self.is_temporary else self.status


CLIENT_FAILURES = frozenset({Failure.CLIENT_GONE, Failure.CLIENT_STALLED})
NOT_REACHED = frozenset(
    {
        Failure.UPSTREAM_REFUSED,
        Failure.UPSTREAM_DNS,
        Failure.UPSTREAM_TLS,
        Failure.UPSTREAM_CONNECT_TIMEOUT,
        Failure.UPSTREAM_BUSY,
    }
)
"""Failures before a byte of the request was sent."""
