"""Finds an upstream that is one of our own listeners. Requests would circle till no connection is left (rules.md 4)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from fsproxy.config.hosts import overlap
from fsproxy.config.problems import Problem
from fsproxy.config.yaml.positions import Node, Scalar, Sequence, Table

Address = IPv4Address | IPv6Address
_LOOPBACK: tuple[Address, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_LISTENERS = (("listen", "0.0.0.0", "8080"), ("admin", "127.0.0.1", "8081"))


def own_listeners(root: Table) -> Iterator[Problem]:
    """Yield a problem for each upstream URL that leads to the data port or the admin port of this configuration.

    Only names that mean this machine are known: no name is looked up. ``CDN-Loop`` stops what is not found here.
    """
    upstream = root.members.get("upstream")
    if not isinstance(upstream, Table):
        return
    prefixes = upstream.members.get("prefixes")
    urls = [upstream.members.get("url"), *(prefixes.members.values() if isinstance(prefixes, Table) else ())]
    urls += [rule.members.get("to") for rule in upstream.sequence("rewrite") if isinstance(rule, Table)]
    listeners = [(name, *each) for name, host, port in _LISTENERS for each in _addresses(root, name, host, port)]
    for url in urls:
        if isinstance(url, Scalar):
            for name, host, port in listeners:
                if _leads_to(url.text, host, port):
                    yield url.problem(f"is this proxy itself, by its {name} section", "the address of the backend")
                    break


def same_port(root: Table) -> Iterator[Problem]:
    """Yield a problem when the data port would be the admin port as well."""
    data, admin = (list(_addresses(root, name, host, port)) for name, host, port in _LISTENERS)
    sections = (root.members.get(name) for name, _, _ in _LISTENERS)
    ports = [node for each in sections if isinstance(each, Table) and (node := each.scalar("port"))]
    if ports and any(port == other and overlap(host, another) for host, port in data for another, other in admin):
        yield ports[0].problem("is the port of listen and of admin", "two different ports")


def _addresses(root: Table, name: str, host: str, port: str) -> Iterator[tuple[str, int]]:
    """Host and port of each listener of a section; none of a unix socket or a port that is not known yet."""
    section = root.members.get(name)
    members = section.members if isinstance(section, Table) else {}
    if isinstance(section, Table) and section.scalar("unix"):
        return
    found = _texts(members.get("port")) or [port]
    if not (found[0].isascii() and found[0].isdigit() and int(found[0])):
        return
    for each in _texts(members.get("host")) or [host]:
        yield each, int(found[0])


def _texts(node: Node | None) -> list[str]:
    if isinstance(node, Sequence):
        return [item.text for item in node.items if isinstance(item, Scalar)]
    return [node.text] if isinstance(node, Scalar) else []


def _leads_to(url: str, host: str, port: int) -> bool:
    try:
        parts = urlsplit(url)
        if (parts.port or (443 if parts.scheme == "https" else 80)) != port:
            return False
    except ValueError:  # The key's own reader reports it.
        return False
    named = parts.hostname or ""
    if named.rstrip(".") == host.lower().rstrip("."):
        return True
    there, here = _means(named), _means(host)
    if any(address.is_unspecified for address in here):
        # An unspecified address of IPv6 may serve both families.
        families = {4, 6} if any(address.version == 6 for address in here) else {4}
        return any(address.version in families and _is_local(address) for address in _reached(there))
    return not set(_reached(there)).isdisjoint(_reached(here))


def _means(host: str) -> tuple[Address, ...]:
    """Return the addresses that a host means without a look-up."""
    host = host.strip("[]").partition("%")[0].rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return _LOOPBACK
    with suppress(ValueError):
        address = ip_address(host)
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return (mapped or address,)
    with suppress(OSError, ValueError):  # 127.1, 2130706433 and 0x7f.1 are addresses too, as far as connecting goes
        return (IPv4Address(socket.inet_aton(host)),)
    return ()


def _reached(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """Return the addresses that connections to these reach: unspecified ones lead to the loopback interface."""
    return tuple(_LOOPBACK[address.version == 6] if address.is_unspecified else address for address in addresses)


def _is_local(address: Address) -> bool:
    """Return whether an address is this machine's own. Such an address is reached from itself."""
    if address.is_loopback:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((str(address), 9))  # of a datagram socket: nothing is sent
        return bool(probe.getsockname()[0] == str(address))
    return False
