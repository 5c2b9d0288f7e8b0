"""Which header does what on its way through: the tables behind ``headers.py`` (rules.md 4). Lower case."""

from __future__ import annotations

from itertools import product

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        # Not a Proxy-* header, but what CGI programs turn into HTTP_PROXY.
        b"proxy",
    }
)
"""Never forwarded as they came (RFC 9110 7.6.1). ``Proxy-*`` is known by its prefix."""

PROXY_PREFIX = b"proxy-"

REPLACED = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id"})
"""Exactly one of each goes up, and it is ours."""

FORWARDING = frozenset(
    {
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-server",
        b"x-forwarded-scheme",
        b"x-forwarded-ssl",
        b"x-forwarded-by",
        b"x-original-forwarded-for",
        b"forwarded",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
        b"cf-connecting-ipv6",
        b"fastly-client-ip",
        b"cloudfront-viewer-address",
    }
)
"""What only a proxy may say of a client: ignored and dropped when an untrusted peer says it."""


def underscored(names: frozenset[bytes]) -> frozenset[bytes]:
    """The same names with some ``-`` as ``_``: gateways that make variables of headers confuse the two."""
    spelled: set[bytes] = set()
    for name in names:
        parts = name.split(b"-")
        for joints in product((b"-", b"_"), repeat=len(parts) - 1):
            spelled.add(b"".join(part + joint for part, joint in zip(parts, (*joints, b""), strict=True)))
    return frozenset(spelled - names)


ESSENTIAL = (
    frozenset(
        {
            b"host",
            b"content-length",
            b"content-type",
            b"content-encoding",
            b"content-range",
            b"content-location",
            b"cookie",
            b"set-cookie",
            b"cdn-loop",
            b"authorization",
            b"www-authenticate",
            b"origin",
            b"referer",
            b"user-agent",
            b"accept",
            b"accept-encoding",
            b"cache-control",
            b"vary",
            b"location",
            b"date",
            b"etag",
            b"expires",
            b"expect",
            b"dnt",
            b"sec-gpc",
            b"access-control-allow-origin",
            b"access-control-allow-credentials",
            b"access-control-allow-headers",
            b"access-control-allow-methods",
            b"access-control-expose-headers",
            b"sec-websocket-key",
            b"sec-websocket-version",
            b"sec-websocket-protocol",
            b"sec-websocket-extensions",
            b"sec-websocket-accept",
        }
    )
    | FORWARDING
    | REPLACED
)
"""End-to-end by definition: naming one in ``Connection`` is a mistake or an attack, and removes nothing."""

ORDINARY = frozenset(
    {
        b"accept",
        b"accept-language",
        b"accept-ranges",
        b"access-control-allow-credentials",
        b"access-control-allow-headers",
        b"access-control-allow-methods",
        b"access-control-max-age",
        b"access-control-request-headers",
        b"access-control-request-method",
        b"age",
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-type",
        b"date",
        b"dnt",
        b"etag",
        b"expires",
        b"if-modified-since",
        b"if-none-match",
        b"last-modified",
        b"location",
        b"origin",
        b"pragma",
        b"priority",
        b"referer",
        b"sec-ch-ua",
        b"sec-ch-ua-mobile",
        b"sec-ch-ua-platform",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"sec-gpc",
        b"server",
        b"set-cookie",
        b"strict-transport-security",
        b"traceparent",
        b"tracestate",
        b"user-agent",
        b"vary",
        b"via",
        b"x-content-type-options",
    }
)
"""Frequent names that go through as they are. Only for speed: any other name is looked at more closely."""
