"""Bind sockets to addresses, one socket for each address of any family. They do not listen yet."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import structlog

from fsproxy.config.hosts import BOTH_FAMILIES, addresses

NOT_HERE = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""The errors of a machine without IPv6 or without IPv4."""
log = structlog.get_logger("fsproxy")


async def bind(hosts: Sequence[str], port: int, *, shared: bool) -> list[socket.socket]:
    """Bind a TCP socket to each address of the hosts. Raise OSError, with all sockets closed.

    ``port`` 0 takes one free port for all. ``shared``: with SO_REUSEPORT. A host may stand for both families: then the
    family that this machine does not have is left out with a warning.
    """
    optional = {address for host in hosts for address in BOTH_FAMILIES.get(host, ())}
    made: list[socket.socket] = []
    with ExitStack() as stack:
        for address in addresses(hosts):
            try:
                for family, place in await _resolved(address):
                    each = _bound(family, (place[0], port, *place[2:]), shared=shared)
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
