"""What is only remembered, on aiocache: blocked pages, and the verdicts on repeated calls (rules.md 5).

Losing any of it costs little: a blocked page's bundle is forwarded, a repeated call is counted twice.
What must be exact is in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Protocol, cast

import msgspec

from fsproxy.core.model import FilterName, Hit, Rule
from fsproxy.core.reasons import ReasonCode
from fsproxy.state.memory.cache import BoundedMemoryCache

BLOCKED_PAGE_SECONDS = 24 * 60 * 60
"""How long a blocked page is remembered (rules.md 1)."""
SHARED_PAGE_SECONDS = 15 * 60
"""How long Redis keeps it after it was last asked for, as its memory belongs to the limits (rules.md 5)."""
REPEAT_SECONDS = 10 * 60
"""How long the verdict on a call's first copy holds for the others (rules.md 2)."""


def refuse_disabled(environ: Mapping[str, str]) -> str | None:
    """Return why the program must not start, or None.

    ``AIOCACHE_DISABLE`` would silently turn every cache off, and the bundles of blocked pages would be forwarded.
    """
    if environ.get("AIOCACHE_DISABLE", "").strip().lower() in ("", "0", "false", "no", "off"):
        return None
    return "AIOCACHE_DISABLE is set: it would silently switch off what blocked pages and repeats rely on; unset it"


class RememberingCache(Protocol):
    """The part of an aiocache cache that is used here: in memory, or shared in Redis."""

    async def get(self, key: str) -> Any:
        """Return the value, or None."""
        ...

    async def multi_get(self, keys: list[str]) -> list[Any]:
        """Return the values in the order of the keys, None for each that is unknown."""
        ...

    async def keep(self, org: str, pairs: list[tuple[str, Any]], ttl: float, *, at_once: bool) -> None:
        """Keep every value for ``ttl`` seconds. Where writes are limited, they count as ``org``'s.

        ``at_once``: other processes must know them when this returns.
        """
        ...


class BlockedPage(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Why a page was blocked: enough for the answer to its bundles and for their audit lines."""

    reason_code: int
    rule: str
    filter: str

    def hit(self) -> Hit | None:
        """Return it as a filter does; None for a code or filter that this version does not know."""
        code, name = _CODES.get(self.reason_code), _FILTERS.get(self.filter)
        return Hit(name, code, Rule(self.rule)) if code is not None and name is not None else None


class BlockedPages:
    """Pages that were blocked, by org and page id, for 24 hours (rules.md 1)."""

    def __init__(self, cache: RememberingCache) -> None:
        self._cache = cache
        self._memory = cache if isinstance(cache, BoundedMemoryCache) else None

    def remember_now(self, org: str, page: str, hit: Hit) -> bool:
        """Do as ``remember``, if that needs no waiting. Return whether it is done."""
        if self._memory is None:
            return False
        if page:
            self._memory.put(_page_key(org, page), _encoded(hit), BLOCKED_PAGE_SECONDS)
        return True

    async def remember(self, org: str, page: str, hit: Hit) -> None:
        """Keep why the page was blocked. Of a page without an id nothing is kept."""
        if page:
            pairs = [(_page_key(org, page), _encoded(hit))]
            # The page's next request may reach another process.
            await self._cache.keep(org, pairs, BLOCKED_PAGE_SECONDS, at_once=True)

    async def find(self, org: str, page: str) -> Hit | None:
        """Return why the page was blocked; None if it was not, or is not remembered."""
        if not page:
            return None
        kept = await self._cache.get(_page_key(org, page))
        if kept is None:
            return None
        try:
            return _BLOCKED_PAGE.decode(kept).hit()
        except msgspec.MsgspecError:
            # An entry that a newer version wrote to a shared store.
            return None


class Repeats:
    """Verdicts on calls, as opaque bytes, by the digest of the call, for 10 minutes (rules.md 2)."""

    def __init__(self, cache: RememberingCache) -> None:
        self._cache = cache

    async def find(self, digests: list[bytes]) -> list[bytes | None]:
        """Return the first copies' verdicts in the order of the digests, None for each call that is new."""
        if not digests:
            return []
        return cast("list[bytes | None]", await self._cache.multi_get([_repeat_key(each) for each in digests]))

    async def remember(self, org: str, verdicts: list[tuple[bytes, bytes]]) -> None:
        """Keep the verdicts on calls' first copies: pairs of digest and verdict."""
        if verdicts:
            pairs = [(_repeat_key(digest), verdict) for digest, verdict in verdicts]
            # A repeat comes seconds later, if at all.
            await self._cache.keep(org, pairs, REPEAT_SECONDS, at_once=False)


_ENCODE = msgspec.msgpack.Encoder().encode
_BLOCKED_PAGE = msgspec.msgpack.Decoder(BlockedPage)


@lru_cache(maxsize=1024)
def _encoded(hit: Hit) -> bytes:
    return _ENCODE(BlockedPage(int(hit.code), hit.rule.id, hit.filter.value))


_CODES = {int(code): code for code in ReasonCode}
_FILTERS = {name.value: name for name in FilterName}


def _page_key(org: str, page: str) -> str:
    # A digest, as a hostile id may be long or hold what no store takes.
    text = f"{len(org)}:{org}{page}".encode("utf-8", "surrogatepass")
    return f"page:{blake2b(text, digest_size=16).hexdigest()}"


def _repeat_key(digest: bytes) -> str:
    return f"repeat:{digest.hex()}"
