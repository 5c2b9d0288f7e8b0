"""Sending requests to upgrade: other people's WebSockets, passed on unread, and the first step of a recorder's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsproxy.clock import monotonic_ns, now
from fsproxy.core.failures import NOT_REACHED
from fsproxy.core.wire.headers import Framing
from fsproxy.http.client_request import CLOSE
from fsproxy.http.tunnel import Tunnel
from fsproxy.http.upgrade import EXTENSIONS, Upgrade
from fsproxy.http.upstream.pool import Share
from fsproxy.proxy.forward import Forwarder

if TYPE_CHECKING:
    from fsproxy.proxy.flow import Flow


class Upgrader(Forwarder):
    """Sends everything that goes upstream, upgrades included."""

    async def tunnel(self, flow: Flow) -> bool:
        """Ask the upstream for an upgrade; after its 101, pass bytes both ways until one side ends."""
        writer = self._writer(flow, Framing.UPGRADE, Share.OTHER)
        flow.sent_ns = monotonic_ns()
        writer.start()
        await writer.done
        connection = writer.upgraded
        if writer.head is None or writer.head.status != 101 or connection is None:
            return self._finish(flow, writer)
        if self._health.troubles:
            self._health.succeeded(writer.pool.origin.address, now())
        tunnel = Tunnel(flow.connection, self._loop.create_future())
        tunnel.attach(connection, writer.rest)
        return await passing(flow, tunnel)

    async def upgrade(
        self, flow: Flow, key: bytes, *, plain: bool, late: bool = False, retry_for: float = 0.0
    ) -> Upgrade:
        """Ask the upstream for a socket; the client sees nothing of its answer yet.

        ``plain``: its frames must be readable, so no extension is asked for. ``late``: the client has had its 101
        already, and what it sent goes up even if it leaves.
        """
        upstream = self._upstream
        pool, target = upstream.way(flow.path, flow.target)
        exchange = flow.writer = Upgrade(
            pool,
            self._head(flow, pool, target, Framing.UPGRADE, without=EXTENSIONS if plain else None),
            Share.SOCKET,
            upgrade=True,
            retry_for=retry_for,
            request=flow,
            done=self._loop.create_future(),
            key=key,
            plain=plain,
            late=late,
        )
        if not late:
            flow.on_gone = exchange.on_gone
        if flow.client_left:
            exchange.on_gone()
        flow.sent_ns = monotonic_ns()
        exchange.start()
        await exchange.done
        if exchange.failure in NOT_REACHED and upstream is not self._upstream:
            return await self.upgrade(flow, key, plain=plain, late=late, retry_for=retry_for)
        if exchange.failure is None:
            self._metrics.forwarded[(flow.route.value,)] += 1
            if self._health.troubles and exchange.head is not None:
                self._health.answered(pool.origin.address, exchange.head.status, now())
        else:
            # The rest of an answer that declines is not waited for.
            exchange.abort()
            if exchange.upgraded is not None:
                exchange.upgraded.abort()
            self._note(pool, exchange.failure)
        return exchange


async def passing(flow: Flow, tunnel: Tunnel) -> bool:
    """Open a tunnel after a 101, and wait for its end."""
    flow.status = 101
    flow.sent_ns = flow.sent_ns or monotonic_ns()  # from here on all waiting is for the two ends
    flow.on_gone = tunnel.on_client_gone
    tunnel.open()
    try:
        await tunnel.closed
    finally:
        tunnel.close()
        flow.bytes_in, flow.bytes_out = tunnel.bytes_up, tunnel.bytes_down
        if flow.writer is not None:
            flow.writer.ended_ns = monotonic_ns()
    return CLOSE
