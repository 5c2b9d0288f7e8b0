"""Who gets an answer on the admin port: who has the token or, without one, programs on this machine alone."""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import HttpVersion10, web
from aiohttp.typedefs import Handler, Middleware

from fsproxy.admin.api import MAY_CHANGE, error
from fsproxy.admin.page import PATH as PAGE_PATH
from fsproxy.admin.page import is_page
from fsproxy.config.schema import AdminConfig
from fsproxy.core.wire.header_names import FORWARDING

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_ASKING_PATHS = frozenset({"/api/explain"})
"""A POST to these changes nothing: it only asks."""
_ELSEWHERE = frozenset({"cross-site", "same-site"})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_PASSED_ON_BY = frozenset(name.decode() for name in FORWARDING) | {
    "via",
    "cdn-loop",
    "max-forwards",
    "cf-ray",
    "fly-client-ip",
    "cloudfront-viewer-address",
    "x-amzn-trace-id",
    "x-azure-clientip",
    "x-appengine-user-ip",
    "x-proxyuser-ip",
    "proxy-client-ip",
    "wl-proxy-client-ip",
}
_PASSED_ON_PREFIXES = ("x-forwarded", "x-original-", "x-envoy-")


def guard(config: AdminConfig) -> Middleware:
    """Return the middleware that refuses callers; health and metrics are open to all.

    ``admin.token`` decides alone where it is configured; with ``admin.read_token`` one may read. Both are compared in
    constant time. Without ``admin.token``, a caller who sends no token must be a program on this machine, and no proxy
    that passes on what others ask. A write by a browser must come from a page of this address.
    """
    secrets = [each.encode() if each else None for each in (config.token, config.read_token)]

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in OPEN_PATHS:
            return await handler(request)
        refusal = _wrong_token(request, *secrets) if any(secrets) else _no_token(request)
        if refusal is not None and config.token is None and "Authorization" not in request.headers:
            # Programs on this machine may do what they may where no token is configured.
            refusal = _no_token(request) and refusal
        if refusal is None and request.method not in _READS and not _own_origin(request):
            refusal = error(403, "Origin is not this address: a proxy in front must pass Host on")
        return refusal if refusal is not None else await handler(request)

    return guard


def _wrong_token(request: web.Request, whole: bytes | None, read: bytes | None) -> web.Response | None:
    if is_page(request.path):
        # The page holds no data; it asks for the token.
        return None
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    sent = given.strip().encode(errors="surrogateescape")
    # Both are compared, so that the time does not show which one it was nearer to.
    may_change, may_read = (known is not None and hmac.compare_digest(sent, known) for known in (whole, read))
    if scheme.lower() != "bearer" or not (may_change or may_read):
        return error(401, "a token is needed: Authorization: Bearer ...")
    if not may_change and request.method not in _READS and request.path not in _ASKING_PATHS:
        return error(403, "admin.read_token may read everything and change nothing: this needs admin.token")
    request[MAY_CHANGE] = may_change
    return None


def _no_token(request: web.Request) -> web.Response | None:
    if not _is_loopback(request.remote):
        return error(403, "off loopback this needs admin.token in the configuration")
    if _is_passed_on(request):
        return error(403, "what a proxy passes on needs admin.token in the configuration")
    if not _same_site(request):
        return error(403, "not from another site's page")
    return None


def _is_loopback(remote: str | None) -> bool:
    try:
        return remote is not None and ip_address(remote).is_loopback
    except ValueError:
        return False


def _is_passed_on(request: web.Request) -> bool:
    # The peer is then a proxy on this machine, and the caller may be anybody. nginx names no caller unless it is
    # configured to, but by default it speaks HTTP/1.0 to its upstream.
    if request.version <= HttpVersion10:
        return True
    # Gateways that turn headers into variables confuse "_" with "-".
    plain = (name.lower().replace("_", "-") for name in request.headers)
    return any(name in _PASSED_ON_BY or name.startswith(_PASSED_ON_PREFIXES) for name in plain)


def _same_site(request: web.Request) -> bool:
    # A browser marks requests of another site's page. Following a link to our own page does no harm.
    if request.path != PAGE_PATH and request.headers.get("Sec-Fetch-Site") in _ELSEWHERE:
        return False
    # DNS rebinding: a page of another site may reach a loopback port under its own name.
    host = request.host
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return host == "localhost" or _is_loopback(host)


def _own_origin(request: web.Request) -> bool:
    """Return whether no browser sent the request, or a browser on a page of the host that was asked.

    A proxy may name that host in ``X-Forwarded-Host``: without a token, requests with this header are refused before.
    """
    own = {request.host.lower(), request.headers.get("X-Forwarded-Host", "").lower()}
    return all(_host_of(origin) in own for origin in request.headers.getall("Origin", ()))


def _host_of(origin: str) -> str | None:
    """Return HOST or HOST:PORT of a serialised origin; None for all but http and https, such as ``null``."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    return parts.netloc.lower() if plain and parts.scheme in {"http", "https"} and parts.netloc else None
