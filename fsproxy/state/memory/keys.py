"""Under what the ledger keeps an id: a short digest, so that a hostile or long id costs what any other costs.

60 bits fit the smallest Python integers, and two of a million ids meet once in two million such sets;
if they do, one session goes uncounted. No id of a visitor is kept, in memory or on disk (rules.md 6).
The digest is the same in every process and version: what is written to disk is found again.
"""

from __future__ import annotations

from enum import StrEnum, unique
from functools import lru_cache
from hashlib import blake2b

KEY_BITS = 60


@unique
class KeyKind(StrEnum):
    """What an id is the id of; ids of different kinds never meet."""

    SESSION = "s"
    USER = "u"
    ADMITTED = "a"
    PAGE = "p"
    EVENT_RATE = "e"
    USER_RATE = "v"


@lru_cache(maxsize=8192)
def key_of(kind: KeyKind, org: str, identifier: str) -> int:
    """A stable key of 60 bits, never 0 in practice. Ids may hold anything, lone surrogates included.

    One request asks for the same ones several times, and a session's uploads come close together.
    """
    text = f"{kind.value}{len(org)}:{org}{identifier}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") >> (64 - KEY_BITS)
