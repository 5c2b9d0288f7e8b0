"""Which node of a Cluster keeps which keys: the slot of a key, and the map from slots to nodes. Pure.

A Cluster has 16,384 slots. A key's slot is the CRC16 of what is between its first ``{`` and the next ``}``, so all
keys of an org lie in one slot. Each slot belongs to one node, the primary; its replicas take its place when it is lost.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

from fsproxy.config.hosts import Node

SLOTS = 16_384


def slot_of(key: str) -> int:
    """Return the slot of a key, by the rule that servers and clients of a Cluster share."""
    begin = key.find("{") + 1
    end = key.find("}", begin) if begin else -1
    tag = key[begin:end] if end > begin else key
    # The CRC of XMODEM, as a Cluster's is.
    return crc_hqx(tag.encode(), 0) % SLOTS


@dataclass(frozen=True, slots=True)
class SlotMap:
    """The nodes by slot. None: no node serves the slot."""

    owners: Sequence[Node | None] = (None,) * SLOTS
    replicas: Mapping[Node, tuple[Node, ...]] = field(default_factory=dict)
    """By primary: those that the others take for alive. Of a primary without any, the slots are lost with it."""

    def counts(self) -> Counter[Node]:
        """Return the primaries, each with the number of its slots; those that have none are left out."""
        return Counter(owner for owner in self.owners if owner is not None)

    def nodes(self) -> list[Node]:
        """Return all nodes: the primaries first."""
        return [*self.replicas, *chain.from_iterable(self.replicas.values())]

    def moved(self, slot: int, to: Node) -> SlotMap:
        """Return the map with one slot at another node. Cost: 30 µs."""
        owners = list(self.owners)
        owners[slot] = to
        return SlotMap(owners, self.replicas)

    @property
    def is_served(self) -> bool:
        """Any slot has a node."""
        return any(owner is not None for owner in self.owners)

    def unserved(self) -> int:
        """Return how many slots have no node."""
        return sum(owner is None for owner in self.owners)

    def key_at(self, node: Node, begin: str, end: str) -> str | None:
        """Return ``begin``, a number and ``end``, as a key that lies at this node. None: it has no slots.

        Cost: 1 µs for each of some tries; 20 ms at worst, for a node with a single slot.
        """
        if node not in self.owners:
            return None
        keys = (f"{begin}{number}{end}" for number in count())
        return next(key for key in keys if self.owners[slot_of(key)] == node)


def slot_map(reply: Any, asked: Node) -> SlotMap:
    """Return the map from the answer to ``CLUSTER SLOTS`` of the node ``asked``.

    A node may leave its own host, or all hosts, out of its answer: it is reached at the same host then. Raise
    ValueError or TypeError for an answer of another form.
    """
    owners: list[Node | None] = [None] * SLOTS
    replicas: dict[Node, tuple[Node, ...]] = {}
    for first, last, primary, *others in reply:
        if not 0 <= first <= last < SLOTS:
            raise ValueError("slots out of range")
        node = _address(primary, asked)
        owners[first : last + 1] = [node] * (last + 1 - first)
        replicas[node] = tuple(_address(each, asked) for each in others)
    return SlotMap(tuple(owners), replicas)


def _address(node: Any, asked: Node) -> Node:
    host, port, *_ = node
    text = host.decode() if isinstance(host, bytes) else host or ""
    # "?" is in the place of a name that the node was to have, and that is not configured.
    return Node(text if text not in ("", "?") else asked.host, int(port) or asked.port)
