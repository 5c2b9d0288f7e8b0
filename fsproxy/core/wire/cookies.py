"""Cookies: choosing those to forward, and reading the recorder's own ``fs_uid`` (wire.md 6)."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec

from fsproxy.core.matching.cookies import search_of_cookie, stripped

LONGEST_UID_COOKIE = 4096
"""Characters of a cookie; browsers keep no longer one."""


def kept_cookies(header: bytes, allowed: frozenset[bytes]) -> bytes:
    """Return the allowed pairs of a ``Cookie`` header, in their order and with their bytes; "" if there are none."""
    pairs = header.split(b";")
    kept = [pair for pair in pairs if pair.partition(b"=")[0].strip(b" \t") in allowed]
    if len(kept) == len(pairs):
        return header
    return b";".join(kept).strip(b" \t")


class UidCookie(msgspec.Struct, frozen=True, gc=False):
    """The parts of ``fs_uid`` that are used; "" for a missing one."""

    org: str
    user: str
    session: str


_find_uid = search_of_cookie("fs_uid", None)


def uid_cookie(header: str) -> UidCookie | None:
    """Read the recorder's cookie in a ``Cookie`` header; None if there is none that can be read.

    It is ``#org#user:session:startMs::pageCount#uidHash#/expiry``, also percent-encoded.
    """
    found = _find_uid(header) if "fs_uid" in header else None
    if found is None:
        return None
    value = stripped(header[found.end() :].partition(";")[0])
    if len(value) > LONGEST_UID_COOKIE:
        return None
    if value.startswith("%23"):
        value = unquote(value)
    parts = value.split("#")
    if len(parts) < 3 or parts[0] or not parts[1]:
        return None
    user, _, rest = parts[2].partition(":")
    return UidCookie(parts[1], user, rest.partition(":")[0])
