"""The client's address, and what the proxies in front of us state about the client (rules.md 4).

A forwarding header counts only if it comes from a peer in ``trusted_proxies``. The client is then the right-most
address of the chain that is not itself a trusted proxy; where an element of the chain is no address, the walk ends.
A peer without an address is on a unix socket, which only programs of this machine can reach: it is trusted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Self

import msgspec

from fsproxy.core.matching.addresses import AddressTable, pattern_of
from fsproxy.core.model import Address
from fsproxy.core.wire.header_names import FORWARDING
from fsproxy.core.wire.header_values import Headers

LONGEST_ADDRESS = 64
"""Characters; the longest IPv6 address with brackets, port and a zone is shorter in practice."""
MOST_HOPS = 32
"""Elements of a chain that are read, from the right. No real chain is longer."""
UNKNOWN = "unknown"
"""Forwarded for a client without an address (RFC 7239 6.2): a unix peer that names none."""

_PORT = re.compile(r"(?:[0-9]{1,5}|_[A-Za-z0-9._-]+)\Z")
_HOST = re.compile(r"[A-Za-z0-9._~%!$&'()*+=:\[\]-]{1,255}\Z")
_REQUEST_ID = re.compile(r"[!-~]{1,128}\Z")
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_DOTTED_QUAD = re.compile(rf"{_BYTE}\.{_BYTE}\.{_BYTE}\.{_BYTE}")
"""An IPv4 address as it is written nearly always; the standard library takes three times as long to read it."""
_SCHEMES = {b"https": "https", b"http": "http"}
"""What ``X-Forwarded-Proto`` nearly always is."""

_WITH_PORT = frozenset({b"cloudfront-viewer-address"})
"""Headers in which a port always follows the address, also after IPv6 without brackets: ``2001:db8::1:443``."""

_Node = tuple[Address, str]
"""An address and its canonical text."""


class ClientAddress(msgspec.Struct, frozen=True, gc=False):
    """The client of one request, as far as what is stated about it can be trusted."""

    address: Address | None
    """None if it is unknown. An IPv4-mapped IPv6 address is an IPv4Address here."""
    chain: str
    """The value of ``X-Forwarded-For`` for the upstream: the client, the trusted proxies after it, the peer."""
    trusted: bool
    """The peer is a trusted proxy, so its other headers (location, request id) count as well."""
    dropped: bool
    """An untrusted peer sent forwarding headers: the usual sign of an unlisted load balancer."""
    proto: str
    """``http`` or ``https``, as a trusted peer states, else as the connection is."""
    host: str
    """The host that the client asked for; "" if there is no valid one."""
    request_id: str | None
    """The request id of a trusted peer."""


def parse_address(text: str) -> Address | None:
    """Return an address in any of the forms that proxies write; None where it is none.

    Tolerated are surrounding spaces, brackets (around IPv4, too), a port, a zone id (dropped) and IPv4-mapped IPv6
    (unwrapped).
    """
    node = _node(text) if len(text) <= LONGEST_ADDRESS else None
    return node[0] if node is not None else None


@lru_cache(maxsize=8192)
def _node(text: str) -> _Node | None:
    if _DOTTED_QUAD.fullmatch(text) is not None:
        first, second, third, last = text.split(".")
        return IPv4Address(int(first) << 24 | int(second) << 16 | int(third) << 8 | int(last)), text
    bare = _without_port(text.strip())
    if bare is None or not bare.isascii():
        return None
    try:
        if ":" not in bare:
            v4 = IPv4Address(bare)
            return v4, str(v4)
        v6 = IPv6Address(bare.partition("%")[0])
    except ValueError:
        return None
    unwrapped = v6.ipv4_mapped or v6
    return unwrapped, str(unwrapped)


def _without_port(text: str) -> str | None:
    if text.startswith("["):
        inside, bracket, port = text[1:].partition("]")
        if not bracket or (port and (port[0] != ":" or not _PORT.match(port, 1))):
            return None
        return inside
    # Without brackets, a port is certain only where the whole is no address: nine groups, or a group after IPv4.
    address, _, port = text.rpartition(":")
    ends_in_port = (text.count(":") == 8 and "::" not in text) or ("." in address and "%" not in address)
    return address if ends_in_port and _PORT.match(port) else text


@dataclass(frozen=True, slots=True)
class ClientAddresses:
    """Resolves the client of each request, by the section ``client_ip``."""

    trusted: AddressTable[bool]
    header: bytes
    """Lower case."""
    known_peer: Callable[[str | None], tuple[Address | None, str, bool]]
    """Returns a peer's address, its text, and whether it is a trusted proxy. Most requests come from few peers."""

    @classmethod
    def compile(cls, trusted_proxies: Iterable[IPv4Network | IPv6Network], header: str) -> Self:
        """Compile; ``header`` is ``x-forwarded-for``, ``forwarded``, or the name of a header with a single address."""
        name = header.lower().encode("ascii", "replace")
        trusted = AddressTable.of((pattern_of(network), True) for network in trusted_proxies)

        @lru_cache(maxsize=1024)
        def known_peer(text: str | None) -> tuple[Address | None, str, bool]:
            node = _node(text) if text and len(text) <= LONGEST_ADDRESS else None
            if node is None:
                return None, UNKNOWN, not text
            return *node, bool(trusted.find(node[0]))

        return cls(trusted, name, known_peer)

    def resolve(self, peer: str | None, headers: Headers, scheme: str = "http") -> ClientAddress:
        """Return the client of a request that came from ``peer`` (None or "": a unix socket) over ``scheme``.

        The headers may hold any bytes; nothing is raised.
        """
        address, chain, trusted = self.known_peer(peer)
        own_host = _host(headers.get(b"host", b""))
        if not trusted:
            dropped = not FORWARDING.isdisjoint(headers) or headers.find(self.header) is not None
            return ClientAddress(address, chain, False, dropped, scheme, own_host, None)
        hops, proto, host = self._hops(headers)
        # From the peer to the client: up to the first address that is no trusted proxy, or the last that is an address.
        for hop in hops:
            node = _node(hop) if len(hop) <= LONGEST_ADDRESS else None
            if node is None:
                break
            chain = node[1] if address is None else f"{node[1]}, {chain}"
            address = node[0]
            if hop is hops[-1] or not self.trusted.find(address):
                break
        return ClientAddress(
            address,
            chain,
            True,
            False,
            proto if proto in {"http", "https"} else scheme,
            host if host and _HOST.match(host) else own_host,
            _request_id(headers[b"x-request-id"]) if b"x-request-id" in headers else None,
        )

    def _hops(self, headers: Headers) -> tuple[list[str], str, str]:
        """Return the chain's elements from the right, and the scheme and host that the nearest proxy states."""
        if self.header == b"forwarded":
            elements = [_element(part) for part in _from_the_right(headers.get(b"forwarded", b""))]
            nearest = elements[0] if elements else {}
            return [each.get("for", "") for each in elements], nearest.get("proto", "").lower(), nearest.get("host", "")
        # The trusted proxy itself wrote the right-most value.
        stated, proto = headers.get(b"x-forwarded-proto", b""), ""
        if stated:
            proto = _SCHEMES.get(stated) or _last(stated).lower()
        host = _last(headers[b"x-forwarded-host"]) if b"x-forwarded-host" in headers else ""
        if self.header == b"x-forwarded-for":
            return _from_the_right(headers.get(b"x-forwarded-for", b"")), proto, host
        # If the client sent such a header as well, the nearest proxy wrote the right-most value.
        hops = _from_the_right(headers.find(self.header) or b"")[:1]
        return list(map(_before_port, hops)) if self.header in _WITH_PORT else hops, proto, host


def _last(header: bytes) -> str:
    return header.decode("latin-1").rpartition(",")[2].strip()


def _from_the_right(header: bytes) -> list[str]:
    value = header.decode("latin-1")
    if "," not in value:
        return [value.strip()]
    parts = value.rsplit(",", MOST_HOPS)[-MOST_HOPS:]
    # Empty elements of a list mean nothing (RFC 9110 5.6.1).
    return [stripped for part in reversed(parts) if (stripped := part.strip())]


def _before_port(text: str) -> str:
    address, _, port = text.rpartition(":")
    return address if _PORT.match(port) and parse_address(address) is not None else text


def _element(text: str) -> Mapping[str, str]:
    """Return the parameters of one ``Forwarded`` element; empty where it is none.

    The caller splits elements at every comma, quoted or not: a client's open quote must not swallow what a trusted
    proxy wrote after it, and no address has a comma in it.
    """
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.strip().partition("=")
        name, value = name.lower(), value.strip()
        if value.startswith('"'):
            if len(value) < 2 or not value.endswith('"'):
                return {}
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        if not equals or not name or name in found or '"' in value:
            return {}
        found[name] = value
    return found


@lru_cache(maxsize=256)
def _host(value: bytes) -> str:
    """Return the value of ``Host``; "" where it is none. Nearly all requests name the same few."""
    text = value.decode("latin-1")
    return text if _HOST.match(text) else ""


def _request_id(value: bytes) -> str | None:
    text = value.decode("latin-1")
    return text if _REQUEST_ID.match(text) else None
