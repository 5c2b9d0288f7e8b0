"""Cookies: reading a visitor's, choosing those to forward, and the recorder's own ``fs_uid`` (wire.md 6)."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

import msgspec

_BLANKS = " \t"
"""Stripped from names and values (RFC 6265 5.2). Other blanks, such as a no-break space, are part of them."""

LONGEST_UID_COOKIE = 4096
"""Characters of a cookie; browsers keep no longer one."""

has_cookies = re.compile(r"(?:[^;]*+;)*?[ \t]*+[^;= \t][^;=]*+=").match
"""Return whether there is any cookie in a ``Cookie`` header: a pair without ``=`` or without a name is none."""


def search_of_cookie(name: str, value: str | None) -> Callable[[str], re.Match[str] | None]:
    """Return the search for a cookie in a ``Cookie`` header, with this value or with any (None).

    Of two cookies with one name the first counts, and a pair without ``=`` is none. A value is compared as it was
    sent, without surrounding spaces and one pair of quotes. ``name``: as ``opt_out.problem`` allows it.
    """
    cookie = rf"[ \t]*+{re.escape(name)}[ \t]*+="
    # The pairs before the first of this name, and the name: the search never goes back in what it has passed.
    first = rf"(?:(?!{cookie})[^;]*+;)*+{cookie}[ \t]*+"
    if value is None:
        return re.compile(first).match
    forms = [re.escape(form) for form in (value, f'"{value}"') if _stripped(form) == value and ";" not in form]
    return re.compile(rf"{first}(?:{'|'.join(forms) or '(?!)'})[ \t]*+(?:;|\Z)").match


def _stripped(value: str) -> str:
    value = value.strip(_BLANKS)
    return value[1:-1] if value[:1] == value[-1:] == '"' and len(value) > 1 else value


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
    value = _stripped(header[found.end() :].partition(";")[0])
    if len(value) > LONGEST_UID_COOKIE:
        return None
    if value.startswith("%23"):
        value = unquote(value)
    parts = value.split("#")
    if len(parts) < 3 or parts[0] or not parts[1]:
        return None
    user, _, rest = parts[2].partition(":")
    return UidCookie(parts[1], user, rest.partition(":")[0])
