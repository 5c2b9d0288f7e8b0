"""Connections that are closed because of a PROXY header, or for want of one: counted, and the newest is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from fsproxy.core.audit.privacy import truncated
from fsproxy.core.model import Instant
from fsproxy.core.wire.client_address import parse_address
from fsproxy.core.wire.proxy_header import HeaderFault
from fsproxy.telemetry.conditions import Condition, Level
from fsproxy.telemetry.growing import Growing
from fsproxy.telemetry.metrics import Labelled

_TEXTS = {
    HeaderFault.UNTRUSTED: "connections from {peer} are closed: it is not in client_ip.trusted_proxies, and "
    "listen.proxy_protocol takes connections from there alone",
    HeaderFault.MISSING: "connections from {peer} are closed: they do not begin with a PROXY header, which "
    "listen.proxy_protocol needs",
    HeaderFault.MALFORMED: "connections from {peer} are closed: their PROXY headers break the format",
    HeaderFault.INCOMPLETE: "connections from {peer} are closed: their PROXY headers did not come whole",
    HeaderFault.UNEXPECTED: "connections from {peer} are answered 400: they begin with a PROXY header, and "
    "listen.proxy_protocol is off",
}
_MORE = {
    HeaderFault.UNTRUSTED: "The network of the newest one is named. If it is your own balancer's, add its address to "
    "client_ip.trusted_proxies: until then no client gets through it. No other host should reach this port.",
    HeaderFault.MISSING: "Switch the PROXY protocol on in that balancer (HAProxy: send-proxy-v2; also for its health "
    "checks), or listen.proxy_protocol off. A check over HTTP without it asks the admin port for /healthz.",
    HeaderFault.MALFORMED: "It speaks another version than 1 and 2, names a client over datagrams, or its checksum is "
    "wrong. Another program may stand between that balancer and fsproxy.",
    HeaderFault.INCOMPLETE: "They took longer than server.header_timeout, or ended. Balancers send headers at once.",
    HeaderFault.UNEXPECTED: "The network of the newest one is named. If it is your own balancer's, no client gets "
    "through it: set listen.proxy_protocol: true, list its address in client_ip.trusted_proxies and restart, or switch "
    "the PROXY protocol off in it. No other host has a reason to send such headers.",
}
_MAY_BE_VISITORS = {HeaderFault.UNTRUSTED, HeaderFault.UNEXPECTED}


class HeaderFaults:
    """Counts closed connections, and has each kind of fault reported."""

    def __init__(self, counts: Labelled) -> None:
        self._counts = counts
        self._newest: dict[HeaderFault, str | None] = {}
        self.sources: list[Callable[[Instant], Iterator[Condition]]] = [
            Growing(partial(counts.__getitem__, (fault.value,)), partial(self._condition, fault))
            for fault in HeaderFault
        ]

    def note(self, fault: HeaderFault, peer: str | None) -> None:
        """Count a connection. ``peer``: its address; None on a unix socket."""
        self._counts[fault.value,] += 1
        self._newest[fault] = peer

    def _condition(self, fault: HeaderFault) -> Condition:
        peer = self._newest.get(fault)
        address = parse_address(peer) if peer is not None else None
        if address is not None:
            # Whose word counts is no visitor; any other peer may be one (rules.md 6).
            peer = truncated(address) if fault in _MAY_BE_VISITORS else str(address)
        place = peer or "the unix socket"
        return Condition(
            id=f"proxy_header:{fault.value}",
            level=Level.WARN,
            since=Instant(0.0),
            text=_TEXTS[fault].format(peer=place),
            more=_MORE[fault],
            counted="closed connections",
            fields={"address": place},
        )
