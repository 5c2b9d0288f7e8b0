"""Which header is handled how on its way through: the tables behind ``headers.py`` (rules.md 4). Lower case."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product


def _names(text: bytes) -> frozenset[bytes]:
    return frozenset(text.split())


HOP_BY_HOP = _names(b"connection keep-alive te trailer transfer-encoding upgrade http2-settings proxy")
"""Never forwarded as they came (RFC 9110 7.6.1). ``Proxy`` is not one, but CGI programs make HTTP_PROXY of it."""

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

SINGLE = _names(b"content-length content-location content-range content-type etag host max-forwards server user-agent")
"""A request that has one of these twice is refused by the general parser."""
READ = (
    FORWARDING
    | REPLACED
    | HOP_BY_HOP
    | SINGLE
    | _names(
        b"""
    content-encoding origin cookie accept-encoding authorization dnt sec-gpc cdn-loop expect
    sec-websocket-key1 cf-ipcountry traceparent
    """
    )
)
"""What is looked up in a request's head by its name; see ``header_values.Headers``."""
ANSWER_READ = HOP_BY_HOP | _names(
    b"""
    content-length content-encoding x-request-id fsproxy-rejected expect sec-websocket-key1
    access-control-allow-origin access-control-allow-credentials access-control-expose-headers
    """
)
"""The same in an answer's head."""


def any_of(names: Iterable[bytes]) -> bytes:
    """Return a regular expression for one of the names, in the form of a tree.

    So a name is looked at letter by letter, and most names in a head are left after their first one. That is several
    times faster than to try each of the names.
    """
    tails: dict[bytes, list[bytes]] = {}
    for name in sorted(names):
        tails.setdefault(name[:1], []).append(name[1:])
    is_whole = tails.pop(b"", None) is not None
    branches = [re.escape(first) + any_of(rest) for first, rest in tails.items()]
    if not branches:
        return b""
    return b"(?:%b)%b" % (b"|".join(branches), b"?" if is_whole else b"")


def lines_named(names: Iterable[bytes]) -> re.Pattern[bytes]:
    """Return a pattern that finds the lines with one of these names, or with ``Proxy-*``, in ``Headers.block``."""
    return re.compile(rb"\r\n(?i:%b|proxy-[^:\r]*): [^\r]*" % any_of(names))
