"""What is only remembered, on aiocache: blocked pages, and the verdicts of repeated calls (rules.md 5).

Losing any of it costs little: a blocked page's bundle is forwarded, a repeated call is counted twice.
What must be exact lives in the ledger.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Protocol, cast

import msgspec
from aiocache import SimpleMemoryCache
from aiocache.base import SENTINEL

from fsproxy.core.model import FilterName, Hit, Rule
from fsproxy.core.reasons import ReasonCode
from fsproxy.shell.clock import monotonic

BLOCKED_PAGE_SECONDS = 24 * 60 * 60
"""How long a page that was blocked is known to be (rules.md 1)."""
REPEAT_SECONDS = 10 * 60
"""How long a call's first copy speaks for the others (rules.md 2)."""


def refuse_disabled(environ: Mapping[str, str]) -> str | None:
    """Why the program must not start, or None.

    ``AIOCACHE_DISABLE`` would turn every cache off without a word: blocked pages would record after all.
    """
    if environ.get("AIOCACHE_DISABLE", "").strip().lower() in ("", "0", "false", "no", "off"):
        return None
    return "AIOCACHE_DISABLE is set: it would silently switch off what blocked pages and repeats rely on; unset it"


class RememberingCache(Protocol):
    """The part of an aiocache cache that is used here: in memory, or shared in Redis."""

    async def get(self, key: str) -> Any:
        """The value, or None."""
        ...

    async def set(self, key: str, value: Any, ttl: float) -> Any:
        """Keep the value for ``ttl`` seconds."""
        ...

    async def multi_get(self, keys: list[str]) -> list[Any]:
        """The values in the order of the keys, None for each that is unknown."""
        ...

    async def multi_set(self, pairs: list[tuple[str, Any]], ttl: float) -> Any:
        """Keep every value for ``ttl`` seconds."""
        ...


class BoundedMemoryCache(SimpleMemoryCache):  # type: ignore[misc]  # aiocache ships no types
    """aiocache's memory cache with a bound: keys are chosen by clients. Nothing here suspends.

    Full, the entry that was set longest ago goes first, counted in ``evicted``. An entry carries its own
    end and is dropped when it is met, or when entries behind it are added: one timer of the event loop
    for every key, as aiocache has it, costs more than all the rest.
    """

    def __init__(self, bound: int, **options: Any) -> None:
        # aiocache's own time limit wraps every call in a timer; memory needs none.
        super().__init__(timeout=0, **options)
        self._bound = bound
        self._cache: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        self.evicted = 0
        """Entries that had to go before their time, since the start."""

    def __len__(self) -> int:
        return len(self._cache)

    def clock(self) -> float:
        """Seconds; only differences matter. Tests put their own in its place."""
        return monotonic()

    async def get(
        self,
        key: str,
        default: Any = None,
        loads_fn: Callable[[Any], Any] | None = None,
        namespace: str | None = None,
        _conn: Any = None,
    ) -> Any:
        """As aiocache's, without its layers (time limit, plugins, debug lines): it is asked for every bundle."""
        if not self._cache:
            return default
        value = self._met(self.build_key(key, namespace=self.namespace if namespace is None else namespace))
        value = (loads_fn or self.serializer.loads)(value)
        return default if value is None else value

    async def set(
        self,
        key: str,
        value: Any,
        ttl: Any = SENTINEL,
        dumps_fn: Callable[[Any], Any] | None = None,
        namespace: str | None = None,
        _cas_token: Any = None,
        _conn: Any = None,
    ) -> Any:
        """As aiocache's, without its layers: it is asked for every blocked page."""
        built = self.build_key(key, namespace=self.namespace if namespace is None else namespace)
        return await self._set(built, (dumps_fn or self.serializer.dumps)(value), self._get_ttl(ttl), _cas_token)

    def _met(self, key: str) -> Any:
        entry = self._cache.get(key)
        if entry is None:
            return None
        if entry[0] <= self.clock():
            del self._cache[key]
            return None
        return entry[1]

    async def _get(self, key: str, encoding: str = "utf-8", _conn: Any = None) -> Any:  # noqa: ARG002 - aiocache's signature
        return self._met(key)

    async def _multi_get(self, keys: list[str], encoding: str = "utf-8", _conn: Any = None) -> list[Any]:  # noqa: ARG002 - aiocache's signature
        return [self._met(key) for key in keys]

    async def _exists(self, key: str, _conn: Any = None) -> bool:
        return self._met(key) is not None

    async def _set(
        self, key: str, value: Any, ttl: float | None = None, _cas_token: Any = None, _conn: Any = None
    ) -> Any:
        if _cas_token is not None and _cas_token != self._met(key):
            return 0
        self._put(key, value, ttl)
        return True

    async def _add(self, key: str, value: Any, ttl: float | None = None, _conn: Any = None) -> bool:
        if self._met(key) is not None:
            raise ValueError("the key exists already")
        self._put(key, value, ttl)
        return True

    async def _increment(self, key: str, delta: int, _conn: Any = None) -> int:
        raise NotImplementedError("counting is the ledger's work")

    async def _expire(self, key: str, ttl: float | None, _conn: Any = None) -> bool:
        value = self._met(key)
        if value is None:
            return False
        self._put(key, value, ttl)
        return True

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return int(self._cache.pop(key, None) is not None)

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:
        for key in [key for key in self._cache if key.startswith(namespace or "")]:
            del self._cache[key]
        return True

    async def _redlock_release(self, key: str, value: Any) -> int:
        return await self._delete(key) if self._met(key) == value else 0

    def _put(self, key: str, value: Any, ttl: float | None) -> None:
        cache = self._cache
        now = self.clock()
        cache[key] = (now + ttl if ttl else float("inf"), value)
        cache.move_to_end(key)
        # Entries of one store live equally long, so the oldest is the first to end: two looked at
        # for one added keep up.
        for _ in range(2):
            oldest = next(iter(cache))
            ended = cache[oldest][0] <= now
            if not ended and len(cache) <= self._bound:
                return
            del cache[oldest]
            self.evicted += not ended


class BlockedPage(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Why a page was blocked: enough to answer its bundles the same, and to say so in the audit line."""

    reason_code: int
    rule: str
    filter: str

    def hit(self) -> Hit | None:
        """The same as a judge's; None for a code or filter that this version does not know."""
        code, name = _CODES.get(self.reason_code), _FILTERS.get(self.filter)
        return Hit(name, code, Rule(self.rule)) if code is not None and name is not None else None


class BlockedPages:
    """Pages that were blocked, by org and page id, for 24 hours (rules.md 1)."""

    def __init__(self, cache: RememberingCache) -> None:
        self._cache = cache

    async def remember(self, org: str, page: str, hit: Hit) -> None:
        """Keep why. A page without an id cannot be known again."""
        if page:
            blocked = BlockedPage(int(hit.code), hit.rule.id, hit.filter.value)
            await self._cache.set(_page_key(org, page), _ENCODE(blocked), ttl=BLOCKED_PAGE_SECONDS)

    async def find(self, org: str, page: str) -> Hit | None:
        """Why the page was blocked; None when it was not, or is not known."""
        if not page:
            return None
        kept = await self._cache.get(_page_key(org, page))
        if kept is None:
            return None
        try:
            return _BLOCKED_PAGE.decode(kept).hit()
        except msgspec.MsgspecError:
            # A newer version's entry in a shared store: not known to this one.
            return None


class Repeats:
    """Verdicts of calls by the digest of the call (rules.md 2, Repeats), for 10 minutes. Opaque bytes."""

    def __init__(self, cache: RememberingCache) -> None:
        self._cache = cache

    async def find(self, digests: list[bytes]) -> list[bytes | None]:
        """The first copies' verdicts in the order of the digests, None for each call that is new."""
        if not digests:
            return []
        return cast("list[bytes | None]", await self._cache.multi_get([_repeat_key(each) for each in digests]))

    async def remember(self, verdicts: list[tuple[bytes, bytes]]) -> None:
        """Keep the verdicts on calls' first copies: (digest, verdict) each."""
        if verdicts:
            pairs = [(_repeat_key(digest), verdict) for digest, verdict in verdicts]
            await self._cache.multi_set(pairs, ttl=REPEAT_SECONDS)


_ENCODE = msgspec.msgpack.Encoder().encode
_BLOCKED_PAGE = msgspec.msgpack.Decoder(BlockedPage)
_CODES = {int(code): code for code in ReasonCode}
_FILTERS = {name.value: name for name in FilterName}


def _page_key(org: str, page: str) -> str:
    # A digest: a hostile id may be long, or hold what no store takes.
    text = f"{len(org)}:{org}{page}".encode("utf-8", "surrogatepass")
    return f"page:{blake2b(text, digest_size=16).hexdigest()}"


def _repeat_key(digest: bytes) -> str:
    return f"repeat:{digest.hex()}"
