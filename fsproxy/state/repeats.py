"""The verdicts on calls, for their repeats, on aiocache: only remembered (rules.md 2 and 5).

What is lost costs little: a repeated call is counted twice. What must be exact is in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping

from fsproxy.config.problems import HostError
from fsproxy.state.memory.cache import BoundedMemoryCache

REPEATS = 500_000
"""How many calls' verdicts a process remembers for their repeats: about 150 MB at the most."""
REPEAT_SECONDS = 10 * 60
"""How long the verdict on a call's first copy holds for the others (rules.md 2)."""


def refuse_disabled(environ: Mapping[str, str]) -> None:
    """Raise HostError for ``AIOCACHE_DISABLE``: it silently turns every cache off, and repeats would count twice."""
    if environ.get("AIOCACHE_DISABLE", "").strip().lower() not in ("", "0", "false", "no", "off"):
        raise HostError(
            "", "AIOCACHE_DISABLE is set: it would silently switch off what repeated calls rely on; unset it"
        )


class Repeats:
    """Verdicts on calls, as opaque bytes, by the digest of the call, for 10 minutes; at most ``bound`` of them."""

    def __init__(self, bound: int = REPEATS) -> None:
        self.cache = BoundedMemoryCache(bound)

    async def find(self, org: str, digests: list[bytes]) -> list[bytes | None]:  # noqa: ARG002 - all orgs share the bound
        """Return the first copies' verdicts in the order of the digests, None for each call that is new."""
        # Past aiocache's layers, and by the digests themselves, as every bundle with calls asks.
        return self.cache.find_all(digests)

    async def remember(self, org: str, verdicts: list[tuple[bytes, bytes]]) -> None:  # noqa: ARG002 - all orgs share the bound
        """Keep the verdicts on calls' first copies: pairs of digest and verdict."""
        self.cache.put_all(verdicts, REPEAT_SECONDS)


def repeat_key(digest: bytes) -> str:
    """Return the key of a call's digest in a cache that processes share."""
    return f"repeat:{digest.hex()}"
