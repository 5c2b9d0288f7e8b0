"""The header lines of an answer to the client: which are forwarded, which dropped, and our own (rules.md 4)."""

from __future__ import annotations

import re

from fsproxy.core.wire.header_names import HOP_BY_HOP, lines_named
from fsproxy.core.wire.header_values import NAMES_NOTHING, Headers, without_named

_CUT = HOP_BY_HOP | {b"x-request-id", b"fsproxy-rejected"}
_cut = lines_named(_CUT).sub
_cut_upgraded = lines_named(_CUT - {b"upgrade"}).sub
_cut_length = re.compile(rb"\r\n(?i:content-length): [^\r]*").sub
_upgrade = re.compile(rb"(\r\n(?i:upgrade): [^\r]*)").sub
_exposing = re.compile(rb"(\r\n(?i:access-control-expose-headers): )([^\r]*)").finditer


def downstream_lines(headers: Headers, request_id: bytes, rejected: int, *, capture: bool, upgrade: bool) -> bytes:
    """Return an answer's lines for the client, each after a CRLF, with order, case and repetition as they came.

    Ours are added: ``X-Request-Id`` and, if there are ``rejected`` calls, ``FSProxy-Rejected``. On ``capture`` routes,
    if the answer has CORS headers, ``Access-Control-Expose-Headers`` names them. A length beside a
    ``Transfer-Encoding`` is dropped, as RFC 9112 6.3 requires. ``upgrade``: the answer is a 101.
    """
    block = headers.block
    if not (headers.plain and _CUT.isdisjoint(headers)):
        connection = headers.get(b"connection")
        if connection is not None and connection.lower() not in NAMES_NOTHING:
            block = without_named(block, connection)
        block = _upgrade(rb"\1\r\nConnection: Upgrade", _cut_upgraded(b"", block)) if upgrade else _cut(b"", block)
        if b"transfer-encoding" in headers:
            block = _cut_length(b"", block)
    if capture and b"access-control-allow-origin" in headers:
        ours = b"X-Request-Id, FSProxy-Rejected" if rejected else b"X-Request-Id"
        if b"access-control-expose-headers" in headers:
            block = _expose(block, headers, ours)
        else:
            block = b"%b\r\nAccess-Control-Expose-Headers: %b" % (block, ours)
    if rejected:
        return b"%b\r\nX-Request-Id: %b\r\nFSProxy-Rejected: %d" % (block, request_id, rejected)
    return b"%b\r\nX-Request-Id: %b" % (block, request_id)


def _expose(block: bytes, headers: Headers, ours: bytes) -> bytes:
    """Add the names of our headers that are missing in the last ``Access-Control-Expose-Headers``."""
    *_, last = _exposing(block)
    value = last[2]
    there = {part.strip() for part in value.lower().split(b",")}
    # For a credentialed request "*" is only a name (Fetch 3.3.3): it does not expose ours.
    if b"*" in there and b"access-control-allow-credentials" not in headers:
        return block
    missing = [each for each in ours.split(b", ") if each.lower() not in there]
    if not missing:
        return block
    exposed = b", ".join([value, *missing] if value.strip() else missing)
    return block[: last.start(2)] + exposed + block[last.end(2) :]
