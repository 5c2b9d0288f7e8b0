"""Cookies: what a visitor's say, which go up, and what the recorder's own ``fs_uid`` holds (wire.md 6)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

from fsproxy.core.model import NO_COOKIES

_BLANKS = " \t"
"""What may stand around names and values (RFC 6265 5.2). No-break spaces and the like belong to a name."""

LONGEST_UID_COOKIE = 4096
"""Characters: what browsers keep of one cookie."""


def parse_cookies(header: str) -> Mapping[str, str]:
    """Name -> value of a ``Cookie`` header. Lenient: of two the first counts, what has no ``=`` has no name.

    Values are as sent, but for surrounding spaces and one pair of quotes. Never raises.
    """
    if not header:
        return NO_COOKIES
    cookies: dict[str, str] = {}
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        name = name.strip(_BLANKS)
        if equals and name and name not in cookies:
            value = value.strip(_BLANKS)
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            cookies[name] = value
    return cookies


def kept_cookies(header: bytes, allowed: frozenset[bytes]) -> bytes:
    """The pairs of a ``Cookie`` header that are allowed, in their order and with their bytes; "" when none is."""
    pairs = header.split(b";")
    kept = [pair for pair in pairs if pair.partition(b"=")[0].strip(b" \t") in allowed]
    if len(kept) == len(pairs):
        return header
    return b";".join(kept).strip(b" \t")


class UidCookie(msgspec.Struct, frozen=True, gc=False):
    """What ``fs_uid`` says; a part that is not there is ""."""

    org: str
    user: str
    session: str


def parse_uid_cookie(value: str) -> UidCookie | None:
    """``#org#user:session:startMs::pageCount#uidHash#/expiry``, also percent-encoded; None when it is not one."""
    if len(value) > LONGEST_UID_COOKIE:
        return None
    if value.startswith("%23"):
        value = unquote(value)
    parts = value.split("#")
    if len(parts) < 3 or parts[0] or not parts[1]:
        return None
    user, _, rest = parts[2].partition(":")
    return UidCookie(parts[1], user, rest.partition(":")[0])
