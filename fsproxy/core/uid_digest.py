"""The digest that is kept in place of a uid (rules.md 6, 10)."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

DIGEST_BITS = 60
"""So few that Python and SQLite store it as a small integer. The risk that any of 100,000 listed uids shares its digest
with any of a million others is about 1 in 10 million."""


@lru_cache(maxsize=4096)
def uid_digest(uid: str) -> int:
    """Return a stable digest of a uid, of 60 bits and never 0. It is the same in every process, org and version.

    The uid may hold any character, also unpaired surrogates.
    """
    text = b"uid:" + uid.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") >> (64 - DIGEST_BITS) or 1
