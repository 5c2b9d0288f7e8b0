"""Which header is handled how on its way through: the tables behind ``headers.py`` (rules.md 4). Lower case."""

from __future__ import annotations

from itertools import product


def _names(text: bytes) -> frozenset[bytes]:
    return frozenset(text.split())


HOP_BY_HOP = _names(b"connection keep-alive te trailer transfer-encoding upgrade http2-settings proxy")
"""Never forwarded as they came (RFC 9110 7.6.1). ``Proxy`` is not one, but CGI programs make HTTP_PROXY of it."""

PROXY_PREFIX = b"proxy-"
"""Names that begin so are hop-by-hop, too."""

REPLACED = _names(b"x-forwarded-for x-forwarded-proto x-forwarded-host x-request-id")
"""The upstream receives exactly one of each, which is ours."""

FORWARDING = _names(
    b"""
    x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-forwarded-server x-forwarded-scheme
    x-forwarded-ssl x-forwarded-by x-original-forwarded-for forwarded x-real-ip x-client-ip x-cluster-client-ip
    true-client-ip cf-connecting-ip cf-connecting-ipv6 fastly-client-ip cloudfront-viewer-address
    """
)
"""What only a proxy may state about a client. It is ignored and dropped when an untrusted peer sends it."""


def underscored(names: frozenset[bytes]) -> frozenset[bytes]:
    """Return the names with some or all ``-`` as ``_``: gateways that make variables of headers confuse the two."""
    spelled: set[bytes] = set()
    for name in names:
        parts = name.split(b"-")
        for joints in product((b"-", b"_"), repeat=len(parts) - 1):
            spelled.add(b"".join(part + joint for part, joint in zip(parts, (*joints, b""), strict=True)))
    return frozenset(spelled - names)


ESSENTIAL = (
    FORWARDING
    | REPLACED
    | _names(
        b"""
    host content-length content-type content-encoding content-range content-location cookie set-cookie cdn-loop
    authorization www-authenticate origin referer user-agent accept accept-encoding cache-control vary location date
    etag expires expect dnt sec-gpc access-control-allow-origin access-control-allow-credentials
    access-control-allow-headers access-control-allow-methods access-control-expose-headers
    sec-websocket-key sec-websocket-version sec-websocket-protocol sec-websocket-extensions sec-websocket-accept
    """
    )
)
"""End-to-end by definition. Naming one in ``Connection`` is a mistake or an attack, and removes nothing."""

ORDINARY = _names(
    b"""
    accept accept-language accept-ranges access-control-allow-credentials access-control-allow-headers
    access-control-allow-methods access-control-max-age access-control-request-headers access-control-request-method
    age authorization cache-control content-encoding content-type date dnt etag expires if-modified-since
    if-none-match last-modified location origin pragma priority referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform
    sec-fetch-dest sec-fetch-mode sec-fetch-site sec-gpc server set-cookie strict-transport-security traceparent
    tracestate user-agent vary via x-content-type-options
    """
)
"""Frequent names that are forwarded as they are. Only for speed: any other name is examined more closely."""
