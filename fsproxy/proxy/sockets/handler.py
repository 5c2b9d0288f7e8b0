"""The recorder's socket: its handshake is always completed, and every refusal is a frame (rules.md 3).

A recorder whose handshake is refused waits for ever. One that gets frames goes on, or ends cleanly (wire.md 7).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from fsproxy.config.schema import SocketMode, TopMode
from fsproxy.core.failures import Failure
from fsproxy.core.pipeline import CAPTURE
from fsproxy.core.wire.facts import bundle_query
from fsproxy.core.wire.sockets.websocket import VERSION, accept_of, is_key
from fsproxy.http.client_request import CLOSE
from fsproxy.http.tunnel import Tunnel
from fsproxy.http.upstream.exchange import CONNECT_AGAIN
from fsproxy.proxy.sockets.frames import FrameHandler
from fsproxy.proxy.sockets.tunnel import FrameTunnel
from fsproxy.proxy.sockets.upgrades import passing

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsproxy.http.upgrade import Upgrade
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.sockets.services import SocketServices
    from fsproxy.proxy.sockets.upgrades import Upgrader


class SocketHandler:
    """Answers upgrades on socket routes."""

    def __init__(self, services: SocketServices, forwarder: Upgrader, overloaded: Callable[[], bool]) -> None:
        self._services = services
        self._forwarder = forwarder
        self._overloaded = overloaded
        self._open: set[FrameTunnel] = set()

    async def open(self, flow: Flow) -> bool:
        """Complete the handshake, with the upstream's answer if there is one, and pass or answer frames.

        A handshake that cannot be completed is answered over HTTP.
        """
        key = flow.headers.get(b"sec-websocket-key")
        if flow.headers.get(b"sec-websocket-version") != VERSION:
            return self._forwarder.refuse(flow, Failure.SOCKET_VERSION)
        mode = flow.generation.socket
        if mode is SocketMode.JUDGE:
            flow.upload = bundle_query(flow.query)
        if key is None or not is_key(key) or (flow.upload.contradictory and flow.generation.mode is not TopMode.BYPASS):
            return self._forwarder.refuse(flow, Failure.BAD_REQUEST)
        reads = mode is not SocketMode.TUNNEL or flow.generation.redaction is not None
        upgrade: Upgrade | None = None
        if not self._overloaded() and (mode is SocketMode.TUNNEL or await self._may_go_up(flow, mode)):
            upgrade = await self._forwarder.upgrade(flow, key, plain=reads)
            if upgrade.failure is Failure.CLIENT_GONE:
                flow.failure = upgrade.failure
                return CLOSE
        if upgrade is not None and upgrade.socket is not None:
            upgrade.pass_head()
            if not reads:
                tunnel = Tunnel(flow.connection, asyncio.get_running_loop().create_future())
                tunnel.attach(upgrade.socket, upgrade.rest)
                return await passing(flow, tunnel)
        else:
            flow.connection.write(_accepted(flow, key))
        return await self._pass_frames(flow, key, upgrade)

    async def _may_go_up(self, flow: Flow, mode: SocketMode) -> bool:
        """Return whether to ask the upstream at once: not for a visitor who is blocked by what the upgrade shows.

        This decides no more than when the upstream is asked. Each frame is decided on by itself, with the org that it
        names, which an upgrade does not.
        """
        if mode is SocketMode.REFUSE:
            return False
        uploads = self._services.uploads
        try:
            blocked = await uploads.is_blocked(flow, uploads.read_facts(flow))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost data
            self._services.note_fault(error)
            return True
        flow.decision = CAPTURE
        return not blocked

    async def _pass_frames(self, flow: Flow, key: bytes, upgrade: Upgrade | None) -> bool:
        closed = asyncio.get_running_loop().create_future()
        frames = FrameHandler(self._services, flow)
        tunnel = FrameTunnel(flow.connection, closed, frames, flow.generation.config.server.max_body)
        if upgrade is not None and upgrade.socket is not None:
            tunnel.attach(upgrade.socket, upgrade.rest)
        frames.begin(partial(self._reach, flow, key, tunnel), has_upstream=tunnel.has_upstream)
        self._open.add(tunnel)
        if self._services.draining:
            tunnel.drain()
        elif not tunnel.has_upstream:
            tunnel.end_soon()
        try:
            return await passing(flow, tunnel)
        finally:
            self._open.discard(tunnel)
            await frames.end(tunnel.finished())

    async def _reach(self, flow: Flow, key: bytes, tunnel: FrameTunnel, seconds: float) -> Failure | None:
        """Connect the upstream's side of a socket that has none; return why that failed.

        The client has had its 101 from us and may have sent frames, so this second handshake is between the upstream
        and us alone. It asks for no extension, as the client was promised none.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._overloaded():
            if loop.time() >= until:
                return Failure.OVERLOADED
            await asyncio.sleep(CONNECT_AGAIN)
        upgrade = await self._forwarder.upgrade(flow, key, plain=True, late=True, retry_for=until - loop.time())
        if upgrade.socket is None:
            return upgrade.failure
        if tunnel.is_closed:
            upgrade.socket.abort()
            return Failure.CLIENT_GONE
        tunnel.attach(upgrade.socket, upgrade.rest)
        return None

    # -- stopping

    def drain(self) -> None:
        """Close each socket after its last answer. A bundle that comes now is answered 502, and comes again."""
        self._services.draining = True
        for tunnel in list(self._open):
            tunnel.drain()

    def cut(self) -> None:
        """Close each socket now: the time to drain is over."""
        for tunnel in list(self._open):
            tunnel.cut()


def _accepted(flow: Flow, key: bytes) -> bytes:
    """Return the answer that completes a handshake without an upstream; no extension, no sub-protocol."""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\nX-Request-Id: %b\r\n\r\n" % (accept_of(key), flow.wire_id)
    )
