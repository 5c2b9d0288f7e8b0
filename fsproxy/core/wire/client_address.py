"""Who the client is, and what the proxies before us say of it (rules.md 4).

A forwarding header counts only from a peer in ``trusted_proxies``. The client is then the right-most
address that is not itself a trusted proxy; where the chain stops making sense, trust stops too. A peer
without an address is on a unix socket, which only programs of this machine can reach: it is trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Self

import msgspec

from fsproxy.core.model import Address
from fsproxy.core.wire.header_names import FORWARDING
from fsproxy.core.wire.header_values import Headers

LONGEST_ADDRESS = 64
"""Characters; the longest IPv6 address with brackets, port and a zone is shorter in practice."""
MOST_HOPS = 32
"""No real chain is longer; what stands further left is not looked at."""
UNKNOWN = "unknown"
"""Goes up for a client without an address (RFC 7239 6.2): a unix peer that names none."""

_PORT = re.compile(r"(?:[0-9]{1,5}|_[A-Za-z0-9._-]+)\Z")
_HOST = re.compile(r"[A-Za-z0-9._~%!$&'()*+=:\[\]-]{1,255}\Z")
_REQUEST_ID = re.compile(r"[!-~]{1,128}\Z")
_SCHEMES = frozenset({"http", "https"})

_WITH_PORT = frozenset({b"cloudfront-viewer-address"})
"""Headers whose address always has a port behind it, IPv6 without brackets too: ``2001:db8::1:443``."""

_Node = tuple[Address, str]


class ClientAddress(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The client of one request, as far as it can be trusted."""

    address: Address | None
    """IPv4-mapped addresses are unwrapped; None when nobody named one."""
    chain: str
    """What goes up as ``X-Forwarded-For``: the client, the trusted proxies after it, the peer."""
    trusted: bool
    """The peer is a trusted proxy, so that its other headers (location, request id) count too."""
    dropped: bool
    """An untrusted peer sent forwarding headers: the usual sign of an unlisted load balancer."""
    proto: str
    """``http`` or ``https``: as a trusted peer says, else as the connection is."""
    host: str
    """The host that the client asked for; "" when none or not one."""
    request_id: str | None
    """From a trusted peer alone."""


def parse_address(text: str) -> Address | None:
    """An address in any of the forms that proxies write, or None.

    Tolerated: surrounding spaces, brackets (of IPv4 too), a port, a zone id (dropped), IPv4-mapped IPv6 (unwrapped).
    """
    node = _node(text) if len(text) <= LONGEST_ADDRESS else None
    return node[0] if node is not None else None


@lru_cache(maxsize=8192)
def _node(text: str) -> _Node | None:
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
    host, colon, port = text.partition(":")
    if colon and ":" not in port:
        return host if _PORT.match(port) else None
    address, _, port = text.rpartition(":")
    # What is no address as a whole can only end in a port: nine groups, or one group after an IPv4 address.
    ends_in_port = (text.count(":") == 8 and "::" not in text) or ("." in address and "%" not in address)
    return address if ends_in_port and _PORT.match(port) else text


@dataclass(frozen=True, slots=True)
class Networks:
    """A set of networks in which an address is found in a time that grows only with their prefix lengths."""

    v4: tuple[tuple[int, frozenset[int]], ...]
    v6: tuple[tuple[int, frozenset[int]], ...]

    @classmethod
    def compile(cls, networks: Iterable[IPv4Network | IPv6Network]) -> Self:
        """Group by prefix length."""
        found: dict[tuple[int, int], set[int]] = {}
        for network in networks:
            shift = network.max_prefixlen - network.prefixlen
            found.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)
        groups = [(version, shift, frozenset(prefixes)) for (version, shift), prefixes in sorted(found.items())]
        return cls(
            tuple((shift, prefixes) for version, shift, prefixes in groups if version == 4),
            tuple((shift, prefixes) for version, shift, prefixes in groups if version == 6),
        )

    def __contains__(self, address: Address) -> bool:
        number = int(address)
        groups = self.v4 if address.version == 4 else self.v6
        return any(number >> shift in prefixes for shift, prefixes in groups)


@dataclass(frozen=True, slots=True)
class ClientAddresses:
    """The ``client_ip`` section, compiled: tells the client of each request."""

    trusted: Networks
    header: bytes
    """Lower case."""
    forwarding: frozenset[bytes]
    """Names whose coming from an untrusted peer is remarkable."""

    @classmethod
    def compile(cls, trusted_proxies: Iterable[IPv4Network | IPv6Network], header: str) -> Self:
        """Compile; ``header`` is ``x-forwarded-for``, ``forwarded``, or a header that holds one address."""
        name = header.lower().encode("ascii", "replace")
        return cls(Networks.compile(trusted_proxies), name, FORWARDING | {name})

    def resolve(self, peer: str | None, headers: Mapping[bytes, bytes], scheme: str = "http") -> ClientAddress:
        """The client of a request that came from ``peer`` (None or "": a unix socket) over ``scheme``.

        ``headers`` is ``header_values.index``'s: lower-case names, repeated lines joined in order. Any bytes
        may stand in it; nothing is raised. What is read out of a visitor's lines is remembered with them.
        """
        if not isinstance(headers, Headers):
            return self._resolve(peer, headers, scheme)
        told = headers.client
        if told is not None and told[0] is self and told[1] == peer and told[2] == scheme:
            known: ClientAddress = told[3]
            return known
        client = self._resolve(peer, headers, scheme)
        headers.client = (self, peer, scheme, client)
        return client

    def _resolve(self, peer: str | None, headers: Mapping[bytes, bytes], scheme: str) -> ClientAddress:
        node = _node(peer) if peer and len(peer) <= LONGEST_ADDRESS else None
        address = node[0] if node is not None else None
        if not (address in self.trusted if address is not None else not peer):
            return ClientAddress(
                address=address,
                chain=node[1] if node is not None else UNKNOWN,
                trusted=False,
                dropped=not self.forwarding.isdisjoint(headers),
                proto=scheme,
                host=_valid(_HOST, headers.get(b"host")),
                request_id=None,
            )
        hops, said = self._hops(headers)
        walked: list[str] = [node[1]] if node is not None else []
        for hop in hops:
            found = _node(hop) if len(hop) <= LONGEST_ADDRESS else None
            if found is None:
                break
            walked.append(found[1])
            address = found[0]
            if address not in self.trusted:
                break
        walked.reverse()
        proto = said.get("proto", "").lower()
        return ClientAddress(
            address=address,
            chain=", ".join(walked) or UNKNOWN,
            trusted=True,
            dropped=False,
            proto=proto if proto in _SCHEMES else scheme,
            host=said["host"] if _HOST.match(said.get("host", "")) else _valid(_HOST, headers.get(b"host")),
            request_id=_valid(_REQUEST_ID, headers.get(b"x-request-id")) or None,
        )

    def _hops(self, headers: Mapping[bytes, bytes]) -> tuple[list[str], Mapping[str, str]]:
        """The chain's texts from the right, and what the nearest proxy says of scheme and host."""
        value = headers.get(self.header, b"").decode("latin-1")
        if self.header == b"forwarded":
            elements = [_element(part) for part in _from_the_right(value)]
            return [element.get("for", "") for element in elements], elements[0] if elements else {}
        said = {}
        for key, name in (("proto", b"x-forwarded-proto"), ("host", b"x-forwarded-host")):
            if name in headers:
                # The right-most is what the proxy that we trust wrote itself.
                said[key] = headers[name].decode("latin-1").rpartition(",")[2].strip()
        if self.header == b"x-forwarded-for":
            return _from_the_right(value), said
        # Where the client sent such a header too, the right-most value is what the nearest proxy wrote.
        nearest = _from_the_right(value)[:1]
        return list(map(_before_port, nearest)) if self.header in _WITH_PORT else nearest, said


def _from_the_right(value: str) -> list[str]:
    parts = value.rsplit(",", MOST_HOPS)[-MOST_HOPS:]
    # RFC 9110 5.6.1: empty elements of a list mean nothing.
    return [stripped for part in reversed(parts) if (stripped := part.strip())]


def _before_port(text: str) -> str:
    address, _, port = text.rpartition(":")
    return address if _PORT.match(port) and parse_address(address) is not None else text


def _element(text: str) -> Mapping[str, str]:
    """The parameters of one ``Forwarded`` element; empty when it is not one.

    Elements are split at every comma, quoted or not: a client's open quote must not swallow what a
    trusted proxy wrote after it, and no address has a comma in it.
    """
    said: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.strip().partition("=")
        name, value = name.lower(), value.strip()
        if value.startswith('"'):
            if len(value) < 2 or not value.endswith('"'):
                return {}
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        if not equals or not name or name in said or '"' in value:
            return {}
        said[name] = value
    return said


def _valid(pattern: re.Pattern[str], value: bytes | None) -> str:
    if value is None:
        return ""
    text = value.decode("latin-1")
    return text if pattern.match(text) else ""
