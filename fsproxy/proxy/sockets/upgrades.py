"""Sending requests to upgrade: WebSockets of others, passed on blindly, and the first step of a recorder's socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsproxy.clock import monotonic_ns
from fsproxy.core.wire.headers import Framing
from fsproxy.http.client_request import CLOSE
from fsproxy.http.pool import Share
from fsproxy.http.tunnel import Tunnel
from fsproxy.http.upgrade import EXTENSIONS, Upgrade
from fsproxy.proxy.forward import Forwarding

if TYPE_CHECKING:
    from fsproxy.proxy.flow import Transaction


class Upgrading(Forwarding):
    """What goes upstream, upgrades included."""

    async def tunnel(self, tx: Transaction) -> bool:
        """Ask the upstream for an upgrade; after its 101 pass bytes both ways until one side ends."""
        relay = self._relay(tx)
        exchange = self._exchange(tx, relay, self._head(tx, Framing.UPGRADE), Share.OTHER, upgrade=True)
        tx.sent_ns = monotonic_ns()
        exchange.start()
        await relay.done
        connection = exchange.upgraded
        if relay.head is None or relay.head.status != 101 or connection is None:
            return self._finish(tx, relay)
        tunnel = Tunnel(tx.request.connection, self._loop.create_future())
        tunnel.attach(connection, relay.rest)
        return await passing(tx, tunnel)

    async def upgrade(
        self, tx: Transaction, key: bytes, *, plain: bool, late: bool = False, retry_for: float = 0.0
    ) -> Upgrade:
        """Ask the upstream for a socket, of which the client learns nothing yet.

        ``plain``: its frames must be readable, so no extension is asked for. ``late``: the client has its answer, and
        what it sent goes up even if it leaves.
        """
        request_id = tx.request_id.encode("ascii", "replace")
        sink = Upgrade(tx.request, self._loop.create_future(), request_id, key, plain=plain, late=late)
        tx.relay = sink
        if not late:
            tx.request.on_gone = sink.on_gone
        upstream = self._upstream
        head = self._head(tx, Framing.UPGRADE, EXTENSIONS if plain else None)
        exchange = self._exchange(tx, sink, head, Share.SOCKET, upgrade=True, retry_for=retry_for)
        tx.sent_ns = monotonic_ns()
        exchange.start()
        await sink.done
        if self._has_moved(sink, upstream):
            return await self.upgrade(tx, key, plain=plain, late=late, retry_for=retry_for)
        if sink.failure is None:
            self._metrics.forwarded[(tx.route.value,)] += 1
            self.last_failure = None
        else:
            # Of an upstream that declined, the rest of its answer is not waited for.
            exchange.abort()
            if exchange.upgraded is not None:
                exchange.upgraded.abort()
            self._note(sink.failure)
        return sink


async def passing(tx: Transaction, tunnel: Tunnel) -> bool:
    """Open a tunnel after a 101, and wait for its end."""
    tx.status = 101
    tx.sent_ns = tx.sent_ns or monotonic_ns()  # from here on the two ends are waited for
    tx.request.on_gone = tunnel.on_client_gone
    tunnel.open()
    try:
        await tunnel.closed
    finally:
        tunnel.close()
        tx.bytes_in, tx.bytes_out = tunnel.bytes_up, tunnel.bytes_down
        if tx.relay is not None:
            tx.relay.ended_ns = monotonic_ns()
    return CLOSE
