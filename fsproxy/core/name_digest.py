"""What is kept of a name that is too long to be kept itself: the ledger's form, and that of a plan made of it."""

from __future__ import annotations

from hashlib import blake2b

LONGEST_NAME = 64
"""Characters. A longer name (an event's may have 250, a path 512 more) is kept as its digest."""
DIGEST_BEGIN = "\0"
"""The first character of a digest. It tells it from any name."""


def name_digest(name: str) -> str:
    """Return the digest that is kept instead of a name. It is the same in every process and version."""
    return DIGEST_BEGIN + blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
