"""The nodes of a Cluster: a link to each primary, and for each request the link to the node that has its org.

A node says by MOVED that a slot is another one's: then that one gets the request (it was not carried out), and the map
of slots is read anew, from any node that answers. So it is once a second while a node is down or a slot has none, and
twice a minute otherwise, as replicas come and go without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from redis.exceptions import AskError, ClusterDownError, MovedError, ResponseError

from fsproxy.config.hosts import Node
from fsproxy.state.redis.connections.batch import Request, ScriptCall
from fsproxy.state.redis.connections.breaker import PROBE_SECONDS, Breaker, Part
from fsproxy.state.redis.connections.closed_link import ClosedLink
from fsproxy.state.redis.connections.connection import FIRST_ROUND_TRIPS, RedisLink
from fsproxy.state.redis.connections.epochs import Ask
from fsproxy.state.redis.connections.probing import named_node
from fsproxy.state.redis.connections.slot_moves import SlotMoves, refuse
from fsproxy.state.redis.servers.ending import end
from fsproxy.state.redis.servers.nodes import Nodes, NoMapError
from fsproxy.state.redis.servers.refusals import MOVING, UNSERVED
from fsproxy.state.redis.servers.slots import SLOTS, SlotMap, slot_of
from fsproxy.state.redis.wire import KEY_VERSION, org_base

MOST_HOPS = 5
"""Times that a request is sent on, from node to node."""
READ_SECONDS = 0.1
"""At least, between two readings of the map."""
REREAD_SECONDS = 30.0
"""At most, while all is well."""
MOST_ORGS, LONGEST_ORG = 10_000, 64
"""Orgs whose slot a process remembers, and the characters of their ids."""
KEPT_SECONDS = 60.0
"""How long a link is kept to a node without slots, after a slot was on its way there."""


class Cluster:
    """See ``Links``. Started and closed once."""

    by_slot = True

    def __init__(self, nodes: Nodes, prefix: str, timeout: float, on_connect: Callable[[], None]) -> None:
        self.place = str(nodes.seeds[0])
        self._nodes, self._prefix, self._timeout = nodes, prefix, timeout
        self._on_connect = on_connect
        self.on_change: Callable[[], None] = lambda: None
        self.map = SlotMap()
        self._slot_by_org: dict[str, int] = {}
        self.gone = Breaker(self.place, part=Part.NODE)
        """Counts what nodes did that are no primaries any more."""
        self.gone.recovered()
        self._links: dict[Node, RedisLink] = {}
        self._kept_until: dict[Node, float] = {}
        self._probe_bases: dict[Node, str | None] = {}
        self._moves: dict[Node, SlotMoves] = {}
        self._held: set[int] = set()
        self._moving = ClosedLink(Breaker(self.place, part=Part.MOVING))
        self._moving.breaker.recovered()
        self._unserved = ClosedLink(Breaker(self.place, part=Part.UNSERVED))
        self._wanted = asyncio.Event()
        """Set when the map is to be read."""
        self._first = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._aside: set[asyncio.Task[None]] = set()
        """What starts or closes."""

    # -- the links

    def of(self, org: str) -> RedisLink | ClosedLink:
        """Return the link to the node that keeps the org's limits."""
        slot = self._slot_by_org.get(org)
        if slot is None:
            slot = slot_of(org_base(self._prefix, org))
            # Clients choose the ids of orgs: neither many nor long ones are kept.
            if len(self._slot_by_org) >= MOST_ORGS:
                self._slot_by_org.clear()
            if len(org) <= LONGEST_ORG:
                self._slot_by_org[org] = slot
        return self._of_slot(slot)

    def _of_slot(self, slot: int) -> RedisLink | ClosedLink:
        if slot in self._held:
            return self._moving
        node = self.map.owners[slot]
        return self._unserved if node is None else self._links[node]

    def every(self) -> list[RedisLink]:
        """Return the links to all primaries."""
        return list(self._links.values())

    def servers(self) -> list[tuple[str, Breaker, Ask]]:
        """See ``Links``."""
        found = [(self._probe_base(node), link.breaker, link.ask) for node, link in self._links.items()]
        return [(base, breaker, ask) for base, breaker, ask in found if base is not None]

    def alone(self) -> int:
        """Return how many primaries have no replica that could take over."""
        return sum(not replicas for replicas in self.map.replicas.values())

    def breakers(self) -> list[Breaker]:
        """Return those of the links, and of slots that have none."""
        more = (self._moving.breaker, self._unserved.breaker, self.gone)
        return [*(link.breaker for link in self._links.values()), *more]

    async def start(self) -> None:
        """Read the map and connect, and go on with both. Wait for the first attempts, as ``RedisLink`` does."""
        self._reader = asyncio.create_task(self._keep_map())
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_ROUND_TRIPS * self._timeout):
                await self._first.wait()
        await asyncio.gather(*self._aside)

    async def close(self) -> None:
        """Stop. For what still waits, the store is down."""
        await end(self._reader)
        self.map = SlotMap()
        while self._links or self._aside:  # one that is being closed may make another, by MOVED
            for node in list(self._links):
                self._remove(node)
            await asyncio.gather(*self._aside, return_exceptions=True)

    def _link_to(self, node: Node) -> RedisLink:
        """Return the link to a node, which may be new."""
        link = self._links.get(node)
        if link is None:
            breaker = Breaker(str(node), part=Part.NODE)
            breaker.on_failure = self._wanted.set
            link = self._links[node] = RedisLink(
                self._nodes.server(node),
                self._timeout,
                lambda: self._probe_base(node),
                breaker,
                self._on_connect,
                lambda call, error: self._redirect(node, call, error),
            )
            self._run_aside(link.start())
            self.on_change()
        return link

    def _remove(self, node: Node) -> None:
        link = self._links.pop(node)
        self._run_aside(link.close())
        self._kept_until.pop(node, None)
        self._probe_bases.pop(node, None)
        if node in self._moves:
            self._run_aside(self._moves.pop(node).close())
        self.gone.take_over(link.breaker)
        self.on_change()

    def _run_aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    def _probe_base(self, node: Node) -> str | None:
        """Return what keys of no org begin with that lie in a slot of the node. None: it has no slots."""
        known = self._probe_bases.get(node)
        if known is None or self.map.owners[slot_of(known)] != node:
            known = self._probe_bases[node] = self.map.key_at(node, f"{self._prefix}{KEY_VERSION}:{{~probe", "}:")
        return known

    # -- the map

    async def _keep_map(self) -> None:
        while True:
            self._wanted.clear()
            await self._read_map()
            self._first.set()
            await asyncio.sleep(READ_SECONDS)
            is_down = any(each.is_open for each in self.breakers())
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS if is_down else REREAD_SECONDS):
                    await self._wanted.wait()

    async def _read_map(self) -> None:
        """Read it from a node that tells it: first those that are likely to answer. If none does, it stays."""
        up = [node for node, link in self._links.items() if not link.breaker.is_open]
        try:
            self._take(await self._nodes.read_map(self._timeout, [*up, *self.map.nodes(), *self._links]))
        except NoMapError as error:
            if not self.map.is_served:
                self._unserved.hold(SLOTS, str(error))

    def _take(self, found: SlotMap) -> None:
        counts, time = found.counts(), asyncio.get_running_loop().time()
        self.map = found
        for node in counts:
            self._link_to(node)
        for node, link in list(self._links.items()):
            link.breaker.slots = counts[node]
            if node not in counts and self._kept_until.get(node, 0.0) < time:
                self._remove(node)
        self._unserved.hold(found.unserved(), UNSERVED)

    # -- requests that were not carried out

    def _redirect(self, node: Node, call: ScriptCall, error: ResponseError) -> None:
        """Send a call's requests to where they belong. ``error``: why ``node`` did not carry them out."""
        if isinstance(error, MovedError):
            self._note_moved(node, error)
            for request in call.requests:
                self._send(node, request)
        elif isinstance(error, ClusterDownError) or node not in self._links:
            self._wanted.set()
            refuse(call.requests)
        else:
            self._moves_from(node).wait(slot_of(call.base), call.requests)

    def _moves_from(self, node: Node) -> SlotMoves:
        if node not in self._moves:
            server, limit = self._link_to(node).server, self._timeout
            self._moves[node] = SlotMoves(
                lambda: server.connection(limit), limit, partial(self._send, node), self._note_held
            )
        return self._moves[node]

    def _note_moved(self, node: Node, error: MovedError) -> None:
        to = named_node(error, node)
        self._keep(to)
        if self.map.owners[error.slot_id] != to:
            self.map = self.map.moved(error.slot_id, to)
        self._wanted.set()

    def _note_held(self) -> None:
        self._held = set().union(*(moves.held() for moves in self._moves.values()))
        self._moving.hold(len(self._held), MOVING)

    def _keep(self, node: Node) -> RedisLink:
        """Return the link to a node that gets a slot now, and may have none yet."""
        self._kept_until[node] = asyncio.get_running_loop().time() + KEPT_SECONDS
        return self._link_to(node)

    def _send(self, node: Node, request: Request, error: AskError | None = None) -> None:
        """Send a request on that ``node`` did not carry out: because of ``error``, or to whom the map says."""
        if isinstance(error, MovedError):
            self._note_moved(node, error)
            error = None
        link = self._of_slot(slot_of(request.base)) if error is None else self._keep(named_node(error, node))
        request.hops += 1
        if isinstance(link, ClosedLink) or request.hops > MOST_HOPS:
            request.refuse()
        else:
            link.take_over(request, asking=error is not None)
