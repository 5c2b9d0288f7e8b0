"""Cookies: reading a visitor's, choosing those to forward, and the recorder's own ``fs_uid`` (wire.md 6)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

_BLANKS = " \t"
"""Stripped from names and values (RFC 6265 5.2). Other blanks, such as a no-break space, are part of them."""

LONGEST_UID_COOKIE = 4096
"""Characters of a cookie; browsers keep no longer one."""


_A_COOKIE = re.compile(r"(?:\A|;)[ \t]*[^;= \t][^;=]*=")


class Cookies(Mapping[str, str]):
    """The cookies of a ``Cookie`` header, as ``parse_cookies`` reads them when one is looked up that may be there."""

    __slots__ = ("_header", "_values")

    def __init__(self, header: str) -> None:
        self._header = header
        self._values: dict[str, str] | None = None

    def __bool__(self) -> bool:
        """Return whether there is any cookie, without reading them."""
        return _A_COOKIE.search(self._header) is not None

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a cookie, or the default."""
        return self._all().get(name, default) if name in self._header else default

    def __getitem__(self, name: str) -> str:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, str]:
        if self._values is None:
            self._values = parse_cookies(self._header)
        return self._values


def parse_cookies(header: str) -> dict[str, str]:
    """Return the values of a ``Cookie`` header by name. Never raise.

    Of two cookies with one name the first counts, and a pair without ``=`` is skipped. Values are as sent, without
    surrounding spaces and one pair of quotes.
    """
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


def parse_uid_cookie(value: str) -> UidCookie | None:
    """Read ``#org#user:session:startMs::pageCount#uidHash#/expiry``, also percent-encoded; None for anything else."""
    if len(value) > LONGEST_UID_COOKIE:
        return None
    if value.startswith("%23"):
        value = unquote(value)
    parts = value.split("#")
    if len(parts) < 3 or parts[0] or not parts[1]:
        return None
    user, _, rest = parts[2].partition(":")
    return UidCookie(parts[1], user, rest.partition(":")[0])
