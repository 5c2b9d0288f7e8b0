"""The upstream: which host a path goes to, and a pool of connections to each.

This is not aiohttp's client. That one costs a proxy more than everything else together (architecture.md 4), adds
headers, and does not send a POST again on a kept-alive connection that had died (rules.md 4).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator

from fsproxy.config.schema import UpstreamConfig, UpstreamTimeouts
from fsproxy.config.tls import client_context
from fsproxy.core.model import Instant
from fsproxy.core.wire.rewrites import Rewrite, first_rewritten
from fsproxy.http.origin import Origin
from fsproxy.http.sweeper import Sweeper
from fsproxy.http.upstream.pool import Pool


def same_hosts(one: UpstreamConfig, other: UpstreamConfig) -> bool:
    """Whether the connections that were made for one configuration serve the other as well."""

    def hosts(config: UpstreamConfig) -> tuple[object, ...]:
        return config.url, config.prefixes, config.rewrite, config.max_connections, config.tls

    return hosts(one) == hosts(other)


def rewrites_of(config: UpstreamConfig) -> tuple[Rewrite, ...]:
    """Return the compiled rules of ``upstream.rewrite``."""
    return tuple(Rewrite.compile(each.path, each.to) for each in config.rewrite)


def address_for(config: UpstreamConfig, path: str) -> str:
    """Return the address that fsproxy sends a request with this path to."""
    found = first_rewritten(rewrites_of(config), path)
    rewrite, path = found if found is not None else (None, path)
    if rewrite is not None and rewrite.url:
        return f"{rewrite.url}{path}"
    base = next((url for prefix, url in config.prefixes if path.startswith(prefix)), config.url)
    return f"{base.rstrip('/')}{path}"


class Upstream:
    """All origins of one configuration."""

    def __init__(
        self,
        config: UpstreamConfig,
        loop: asyncio.AbstractEventLoop,
        sweeper: Sweeper,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """``context``: made by ``client_context`` beforehand, as that reads files."""
        self.loop = loop
        self.sweeper = sweeper
        context = context or client_context(config.tls)
        pools: dict[Origin, Pool] = {}

        def pool(url: str) -> Pool:
            origin = Origin.of(url)
            if origin not in pools:
                pools[origin] = Pool(origin, config.max_connections, config.timeouts, context, loop, sweeper)
            return pools[origin]

        self._default = pool(config.url)
        self._prefixes = tuple((prefix, pool(url)) for prefix, url in config.prefixes)
        self._rewrites = rewrites_of(config)
        self._by_url = {each.url: pool(each.url) for each in self._rewrites if each.url}
        self._pools = tuple(pools.values())

    def way(self, path: str, target: str) -> tuple[Pool, str]:
        """Return the pool of the origin that serves a raw target with this path, and the target that goes up."""
        if self._rewrites:
            # A uid in the target may have been redacted, of which the path knows nothing.
            path, mark, query = target.partition("?")
            found = first_rewritten(self._rewrites, path)
            if found is not None:
                rewrite, path = found
                target = path + mark + query
                if rewrite.url:
                    return self._by_url[rewrite.url], target
        for prefix, pool in self._prefixes:
            if path.startswith(prefix):
                return pool, target
        return self._default, target

    def retime(self, timeouts: UpstreamTimeouts) -> None:
        """Use other timeouts from now on."""
        for pool in self._pools:
            pool.retime(timeouts)

    @property
    def connections(self) -> int:
        """How many connections are open, in use or idle."""
        return sum(pool.open for pool in self._pools)

    def certificates(self) -> Iterator[tuple[str, Instant]]:
        """Yield when the certificates end that the newest connections saw, each with its host's address."""
        for pool in self._pools:
            if pool.certificate_ends is not None:
                yield pool.origin.address, pool.certificate_ends

    def close(self) -> None:
        """Close the idle connections now, and the others when they come back."""
        for pool in self._pools:
            pool.close()
