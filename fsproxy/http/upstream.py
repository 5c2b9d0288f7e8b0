"""The upstream side: which host a path goes to, a pool of connections to each, one exchange a request.

Not aiohttp's client: that costs a proxy more than everything else together (architecture.md 4),
invents headers and does not send a POST again on a kept-alive connection that died (rules.md 4).
"""

from __future__ import annotations

import asyncio
import ssl

from fsproxy.config.schema import UpstreamConfig, UpstreamTimeouts
from fsproxy.http.pool import Origin, Pool
from fsproxy.http.sweeper import Sweeper
from fsproxy.http.upstream_tls import tls_context


class Upstream:
    """All origins of one configuration."""

    def __init__(
        self,
        config: UpstreamConfig,
        loop: asyncio.AbstractEventLoop,
        sweeper: Sweeper,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """``context``: made by ``tls_context`` beforehand, as that reads files."""
        self.loop = loop
        self.sweeper = sweeper
        self.timeouts = config.timeouts
        self.closed = False
        """A reload has named another one: no further connection is tried here."""
        context = context or tls_context(config.tls)
        pools: dict[Origin, Pool] = {}

        def pool(url: str) -> Pool:
            origin = Origin.of(url)
            if origin not in pools:
                pools[origin] = Pool(origin, config.max_connections, config.timeouts, context, loop)
            return pools[origin]

        self._default = pool(config.url)
        self._prefixes = tuple((prefix, pool(url)) for prefix, url in config.prefixes)
        self._pools = tuple(pools.values())
        self._housekeeping = loop.call_later(config.timeouts.idle, self._keep_house)

    def pool_for(self, path: str) -> Pool:
        """The pool of the origin that serves ``path`` (the raw target's path)."""
        for prefix, pool in self._prefixes:
            if path.startswith(prefix):
                return pool
        return self._default

    def retime(self, timeouts: UpstreamTimeouts) -> None:
        """Follow other timeouts, from what is done next on."""
        self.timeouts = timeouts
        for pool in self._pools:
            pool.timeouts = timeouts

    @property
    def connections(self) -> int:
        """How many connections are open, in use or idle."""
        return sum(pool.open for pool in self._pools)

    def close(self) -> None:
        """Close idle connections; those in use are closed as they come back."""
        self.closed = True
        self._housekeeping.cancel()
        for pool in self._pools:
            pool.close()

    def _keep_house(self) -> None:
        for pool in self._pools:
            pool.expire_idle()
        self._housekeeping = self.loop.call_later(max(1.0, self.timeouts.idle / 4), self._keep_house)
