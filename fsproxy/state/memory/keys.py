"""The keys under which the ledger keeps ids and names, in memory, on disk and in Redis.

A key of an id is a digest of 60 bits. So a hostile or long id costs what any other costs, and no id of a visitor is
kept anywhere (rules.md 6). 60 bits fit the smallest Python integers. Two of a million ids share a key once in two
million such sets; then one session goes uncounted. A digest is the same in every process and version, so that what is
on disk or in Redis is found again.
"""

from __future__ import annotations

from enum import StrEnum, unique
from functools import lru_cache
from hashlib import blake2b

from fsproxy.core.limits.operations import Admit, Mark, RateKind, Recall

KEY_BITS = 60


@unique
class KeyKind(StrEnum):
    """What an id is the id of. Equal ids of different kinds have different keys."""

    SESSION = "s"
    USER = "u"
    ADMITTED = "a"
    PAGE = "p"
    EVENT_RATE = "e"
    USER_RATE = "v"
    PAGE_RATE = "g"
    EVENT_RATE_OF_PAGE = "f"
    USER_RATE_OF_PAGE = "w"
    PAGE_RATE_OF_PAGE = "h"


# Python 3.11 takes five times as long to find a member in its enum as a name in a module.
SESSION, USER, PAGE = KeyKind.SESSION, KeyKind.USER, KeyKind.PAGE
RATE_KEYS = {
    RateKind.EVENT: KeyKind.EVENT_RATE,
    RateKind.USER: KeyKind.USER_RATE,
    RateKind.PAGE: KeyKind.PAGE_RATE,
}
PAGE_RATE_KEYS = {
    RateKind.EVENT: KeyKind.EVENT_RATE_OF_PAGE,
    RateKind.USER: KeyKind.USER_RATE_OF_PAGE,
    RateKind.PAGE: KeyKind.PAGE_RATE_OF_PAGE,
}
"""Of a session's calls, and of one page's."""


@lru_cache(maxsize=8192)
def key_of(kind: KeyKind, org: str, identifier: str) -> int:
    """Return the key of an id, never 0 in practice. Ids may hold anything, lone surrogates included.

    The cache pays because one request needs the same keys several times, and a session's uploads come close together.
    """
    text = f"{kind._value_}{len(org)}:{org}{identifier}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") >> (64 - KEY_BITS)


def admit_key(operation: Admit) -> int:
    """Return the key of the page's session, else of its user; 0 if it has neither."""
    if operation.session:
        return key_of(SESSION, operation.org, operation.session)
    return key_of(USER, operation.org, operation.user) if operation.user else 0


def session_keys(operation: Mark | Recall) -> list[int]:
    """Return the keys of the operation's session and user, without those that it does not name."""
    keys = [key_of(SESSION, operation.org, operation.session)] if operation.session else []
    if operation.user:
        keys.append(key_of(USER, operation.org, operation.user))
    return keys


def page_mark(name: str) -> int:
    """Return what is kept of a name of one page: 31 bits, as a page has few names, and there are many pages."""
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
