"""The links of this process to what keeps the limits: to one server, or to each node of a Cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from fsproxy.state.redis.connections.breaker import Breaker
from fsproxy.state.redis.connections.cluster import Cluster
from fsproxy.state.redis.connections.connection import RedisLink
from fsproxy.state.redis.connections.epochs import Ask
from fsproxy.state.redis.servers.nodes import Nodes
from fsproxy.state.redis.servers.server import Server
from fsproxy.state.redis.wire import org_base


class Link(Protocol):
    """What keeps an org's limits, or takes the place of what would."""

    breaker: Breaker

    @property
    def skew(self) -> float | None:
        """How far its clock is ahead of ours, in seconds; None: not known."""

    def ask(self, base: str, operations: list[Any], at: float | None) -> asyncio.Future[list[Any]]:
        """See ``RedisLink``."""


class Links(Protocol):
    """All of them. Started and closed once."""

    by_slot: bool
    """They are nodes of a Cluster: commands with several keys must have keys of one slot."""

    @property
    def place(self) -> str:
        """Return host and port of the server, or of a node by which the others of a Cluster are found."""

    on_change: Callable[[], None]
    """Called when there are other links than before."""

    def of(self, org: str) -> Link:
        """Return the one that keeps the org's limits."""

    def every(self) -> list[RedisLink]:
        """Return the present ones."""

    def servers(self) -> list[tuple[str, Breaker, Ask]]:
        """Return of each server what keys of no org begin with that lie there, its breaker, and how to ask it."""

    def alone(self) -> int:
        """Return how many nodes of a Cluster have no replica that could take over."""

    def breakers(self) -> list[Breaker]:
        """Return all breakers: those of the links, and of what has none."""

    async def start(self) -> None:
        """Connect in the background. Wait for the first attempts' end."""

    async def close(self) -> None:
        """Stop. For what still waits, the store is down."""


class OneLink:
    """See ``Links``: one server has all keys."""

    by_slot = False

    def __init__(self, link: RedisLink, base: str) -> None:
        """Take the link. ``base``: what keys of no org begin with."""
        self._link, self._base = link, base
        self.on_change: Callable[[], None] = lambda: None
        self.start, self.close = link.start, link.close

    @property
    def place(self) -> str:
        """See ``Links``."""
        return self._link.breaker.place

    def of(self, org: str) -> RedisLink:  # noqa: ARG002 - it has all
        """Return the link."""
        return self._link

    def every(self) -> list[RedisLink]:
        """Return the link."""
        return [self._link]

    def servers(self) -> list[tuple[str, Breaker, Ask]]:
        """See ``Links``."""
        return [(self._base, self._link.breaker, self._link.ask)]

    def alone(self) -> int:
        """Return 0: it is no Cluster."""
        return 0

    def breakers(self) -> list[Breaker]:
        """Return the link's."""
        return [self._link.breaker]


def make_links(
    store: Server | Nodes, prefix: str, timeout: float, breaker: Breaker | None, on_connect: Callable[[], None]
) -> Links:
    """Return the links to one server or to the nodes of a Cluster. ``breaker``: that of one server."""
    if isinstance(store, Nodes):
        return Cluster(store, prefix, timeout, on_connect)
    base = org_base(prefix, "~probe")
    link = RedisLink(store, timeout, lambda: base, breaker or Breaker(store.place), on_connect)
    return OneLink(link, base)
