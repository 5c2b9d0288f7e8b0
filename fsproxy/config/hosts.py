"""Hosts and ports: the addresses that a host of ``listen`` or ``admin`` means, and which of them collide."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import NamedTuple

from fsproxy.core.keys import STRING, Leaf

BOTH_FAMILIES = {"::": ("0.0.0.0", "::"), "localhost": ("127.0.0.1", "::1")}
"""Hosts that mean IPv4 and IPv6. Each address gets a socket of its own, so that IPv4 clients keep IPv4 addresses."""
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_NUMBERS = re.compile(r"[0-9.]+")
_ANY = frozenset({"0.0.0.0", "::"})


def plain_host(text: str) -> str:
    """Return the host as sockets take it: an address without brackets, a name in lower case. Raises ValueError."""
    inner = text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text
    try:
        return str(ip_address(inner))
    except ValueError:
        if inner is not text or not _NAME.fullmatch(text) or _NUMBERS.fullmatch(text):
            raise
        return text.lower()


class Node(NamedTuple):
    """A server's host and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_address(host: str) -> bool:
    """Return whether it is an IP address, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def node(text: str) -> Node:
    """Return a server's address, written HOST:PORT. Raises ValueError."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65_536 or host.count(":") == 1:
        raise ValueError
    if ":" in host and host[:1] != "[":  # an IPv6 address without its port
        raise ValueError
    return Node(plain_host(host), int(port))


HOST = Leaf(
    "a host to listen on",
    "an address, a name, or :: for all addresses of both families; the port has a key of its own",
    plain_host,
    STRING,
)


def addresses(hosts: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses that the hosts mean, each once. Names other than ``localhost`` stay names."""
    return tuple(dict.fromkeys(each for host in hosts for each in BOTH_FAMILIES.get(host, (host,))))


def overlap(host: str, other: str) -> bool:
    """Return whether listening on both, on one port, would collide. No name is looked up."""
    try:
        mine, theirs = addresses([plain_host(host)]), addresses([plain_host(other)])
    except ValueError:  # The key's own reader reports it.
        return False
    pairs = ((one, another) for one in mine for another in theirs)
    return any(one == another or (_alike(one, another) and _ANY & {one, another}) for one, another in pairs)


def _alike(one: str, other: str) -> bool:
    """Return whether both may be of the same family."""
    families = [ip_address(each).version for each in (one, other) if ":" in each or _NUMBERS.fullmatch(each)]
    return len(set(families)) < 2
