"""Bind sockets to addresses, one socket for each address of any family. They do not listen yet, unless given."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import structlog

from fsproxy.config.hosts import BOTH_FAMILIES, addresses

NOT_HERE = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""The errors of a machine without IPv6 or without IPv4."""
log = structlog.get_logger("fsproxy")


class GivenSockets:
    """Sockets that another program has opened and given to this one, by what they are bound to."""

    def __init__(self, sockets: Iterable[socket.socket] = ()) -> None:
        self._by_place: dict[Any, list[socket.socket]] = {}
        for each in sockets:
            each.setblocking(False)
            self._by_place.setdefault(_place(each.family, each.getsockname()), []).append(each)

    def take(self, family: int, address: Any) -> socket.socket | None:
        """Take one that is bound to that address; None when there is none, or none any more."""
        found = self._by_place.get(_place(family, address))
        return found.pop(0) if found else None

    def has_port(self, port: int) -> bool:
        """Return whether one of them is bound to that TCP port."""
        return any(len(place) > 2 and place[2] == port for place in self._by_place)

    def close(self) -> None:
        """Close those that were not taken: addresses on which this program does not listen."""
        for each in (each for found in self._by_place.values() for each in found):
            each.close()
        self._by_place.clear()


def _place(family: int, address: Any) -> Any:
    return (family, address) if family == socket.AF_UNIX else (family, *address[:2])


async def bind(
    hosts: Sequence[str], port: int, *, shared: bool, given: GivenSockets | None = None
) -> list[socket.socket]:
    """Bind a TCP socket to each address of the hosts. Raise OSError, with all sockets closed.

    ``port`` 0 takes one free port for all. ``shared``: with SO_REUSEPORT. ``given``: what is used in place of new ones.
    A host may stand for both families: then the family that this machine does not have is left out with a warning.
    """
    optional = {address for host in hosts for address in BOTH_FAMILIES.get(host, ())}
    made: list[socket.socket] = []
    with ExitStack() as stack:
        for address in addresses(hosts):
            try:
                for family, place in await _resolved(address):
                    there = (place[0], port, *place[2:])
                    each = (given.take(family, there) if given else None) or _bound(family, there, shared=shared)
                    stack.callback(each.close)
                    made.append(each)
                    port = each.getsockname()[1]
            except OSError as error:
                if address not in optional or not _is_missing(error):
                    raise OSError(error.errno, f"{error.strerror} ({address})") from None
                log.warning("not listening there: this machine has no such addresses", address=address)
        if not made:
            raise OSError(errno.EADDRNOTAVAIL, "no address of these is one of this machine")
        stack.pop_all()
    return made


def _is_missing(error: OSError) -> bool:
    return isinstance(error, socket.gaierror) or error.errno in NOT_HERE


async def _resolved(address: str) -> list[tuple[int, tuple[Any, ...]]]:
    found = await asyncio.get_running_loop().getaddrinfo(address, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, place) for family, _, _, _, place in found))


def _bound(family: int, place: tuple[Any, ...], *, shared: bool) -> socket.socket:
    each = socket.socket(family, socket.SOCK_STREAM)
    try:
        each.setblocking(False)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        each.bind(place)
    except OSError:
        each.close()
        raise
    return each
