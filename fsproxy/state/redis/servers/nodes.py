"""The nodes of a Cluster as they are connected to, and the map of slots as they tell it."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from redis.exceptions import RedisError

from fsproxy.config.hosts import Node
from fsproxy.state.redis.servers.login import Login
from fsproxy.state.redis.servers.reasons import reason_of
from fsproxy.state.redis.servers.server import Server
from fsproxy.state.redis.servers.slots import SlotMap, slot_map


class NoMapError(RedisError):
    """Raised if no node tells the map. Its text is the reason, as a breaker has it."""


@dataclass(frozen=True, slots=True, repr=False)
class Nodes:
    """Some nodes of a Cluster, by which all are found, and how to log in to them."""

    seeds: tuple[Node, ...]
    login: Login
    tls: ssl.SSLContext | None

    def server(self, node: Node) -> Server:
        """Return one node as a server."""
        return Server(node, self.login, self.tls)

    async def read_map(self, limit: float, nodes: Iterable[Node] = ()) -> SlotMap:
        """Return the map as the first of ``nodes`` tells it that has one, or else of the seeds.

        ``limit``: seconds for each round trip. Raise NoMapError.
        """
        reason = "it has no slots"
        for node in dict.fromkeys([*nodes, *self.seeds]):
            connection = self.server(node).connection(limit)
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_command("CLUSTER", "SLOTS")
                found = slot_map(await connection.read_response(), node)
            except Exception as error:  # noqa: BLE001 - whatever a node does: the next one is asked
                reason = reason_of(error)
            else:
                if found.is_served:
                    return found
            finally:
                await connection.disconnect(nowait=True)
        raise NoMapError(reason)
