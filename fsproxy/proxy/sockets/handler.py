"""The recorder's socket: its handshake is always completed, and everything else is said in frames (rules.md 3).

A recorder whose handshake is refused waits for ever; one that gets frames goes on, or ends cleanly (wire.md 7).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from fsproxy.config.schema import SocketMode, TopMode
from fsproxy.core.failures import Failure
from fsproxy.core.pipeline import CAPTURE
from fsproxy.core.wire.sockets.websocket import VERSION, accept_of, is_key
from fsproxy.http.client_request import CLOSE
from fsproxy.http.tunnel import Tunnel
from fsproxy.http.upstream_exchange import CONNECT_AGAIN
from fsproxy.proxy.sockets.frames import FrameHandler
from fsproxy.proxy.sockets.tunnel import FrameTunnel
from fsproxy.proxy.sockets.upgrades import passing

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsproxy.http.upgrade import Upgrade
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.generation import Generation
    from fsproxy.proxy.page import PageHandler
    from fsproxy.proxy.record import Recorder
    from fsproxy.proxy.sockets.upgrades import Upgrading
    from fsproxy.proxy.upload import UploadHandler
    from fsproxy.telemetry.metrics import Metrics

log = structlog.get_logger("fsproxy")


class SocketHandler:
    """Answers upgrades on socket routes."""

    def __init__(
        self,
        capture: UploadHandler,
        pages: PageHandler,
        forwarding: Upgrading,
        recorder: Recorder,
        metrics: Metrics,
        generation: Callable[[], Generation],
        overloaded: Callable[[], bool],
    ) -> None:
        self.capture = capture
        self.pages = pages
        self.recorder = recorder
        self.metrics = metrics
        self.generation = generation
        """The present one: each frame is judged by the rules of its time."""
        self.draining = False
        self._forwarding = forwarding
        self._overloaded = overloaded
        self._open: set[FrameTunnel] = set()

    async def open(self, flow: Flow) -> bool:
        """Complete the handshake, with the upstream's answer if there is one, and pass or answer frames.

        A handshake that nobody could complete is answered over HTTP.
        """
        key = flow.headers.get(b"sec-websocket-key")
        if flow.headers.get(b"sec-websocket-version") != VERSION:
            return self._forwarding.refuse(flow, Failure.SOCKET_VERSION)
        mode = SocketMode.TUNNEL if flow.generation.mode is TopMode.BYPASS else flow.generation.config.socket
        contradictory = mode is SocketMode.JUDGE and flow.read_query().contradictory
        if key is None or not is_key(key) or contradictory:
            return self._forwarding.refuse(flow, Failure.BAD_REQUEST)
        upgrade: Upgrade | None = None
        if not self._overloaded() and (mode is SocketMode.TUNNEL or await self._may_go_up(flow, mode)):
            upgrade = await self._forwarding.upgrade(flow, key, plain=mode is not SocketMode.TUNNEL)
            if upgrade.failure is Failure.CLIENT_GONE:
                flow.failure = upgrade.failure
                return CLOSE
        if upgrade is not None and upgrade.connection is not None:
            upgrade.pass_head()
            if mode is SocketMode.TUNNEL:
                tunnel = Tunnel(flow.request.connection, asyncio.get_running_loop().create_future())
                tunnel.attach(upgrade.connection, upgrade.rest)
                return await passing(flow, tunnel)
        else:
            flow.request.connection.write(_accepted(flow, key))
        return await self._judged(flow, key, upgrade)

    async def _may_go_up(self, flow: Flow, mode: SocketMode) -> bool:
        """Whether the upstream is asked at once: not for one who is blocked by what the upgrade shows.

        That decides no more than when the upstream is asked: each frame is judged by itself, with the org that it
        names, which an upgrade does not.
        """
        if mode is SocketMode.REFUSE:
            return False
        try:
            blocked = await self.capture.blocks(flow, self.capture.open(flow))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost data
            self.survived(error)
            return True
        flow.decision = CAPTURE
        return not blocked

    async def _judged(self, flow: Flow, key: bytes, upgrade: Upgrade | None) -> bool:
        closed = asyncio.get_running_loop().create_future()
        judge = FrameHandler(self, flow, partial(self._reach, flow, key))
        tunnel = FrameTunnel(flow.request.connection, closed, judge, flow.generation.config.server.max_body)
        if upgrade is not None and upgrade.connection is not None:
            tunnel.attach(upgrade.connection, upgrade.rest)
        judge.begin(tunnel)
        self._open.add(tunnel)
        if self.draining:
            tunnel.drain()
        elif not tunnel.has_upstream:
            tunnel.end_soon()
        try:
            return await passing(flow, tunnel)
        finally:
            self._open.discard(tunnel)
            await judge.end()

    async def _reach(self, flow: Flow, key: bytes, tunnel: FrameTunnel, seconds: float) -> Failure | None:
        """Connect the upstream's side of a socket that has none; return why there is none after all."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._overloaded():
            if loop.time() >= until:
                return Failure.OVERLOADED
            await asyncio.sleep(CONNECT_AGAIN)
        upgrade = await self._forwarding.upgrade(flow, key, plain=True, late=True, retry_for=until - loop.time())
        if upgrade.connection is None:
            return upgrade.failure
        if tunnel.is_closed:
            upgrade.connection.abort()
            return Failure.CLIENT_GONE
        tunnel.attach(upgrade.connection, upgrade.rest)
        return None

    # -- stopping

    def drain(self) -> None:
        """Close each socket after its last answer; a bundle that comes now is answered 502, and comes again."""
        self.draining = True
        for tunnel in list(self._open):
            tunnel.drain()

    def cut(self) -> None:
        """The time to drain is over."""
        for tunnel in list(self._open):
            tunnel.cut()

    def survived(self, error: Exception) -> None:
        """A fault of ours: what it came with goes on as it came."""
        self.metrics.own_failures[("socket",)] += 1
        log.error("a fault of ours on a socket was survived", exc_info=error)


def _accepted(flow: Flow, key: bytes) -> bytes:
    """Return the answer that completes a handshake without an upstream; no extension, no sub-protocol."""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\nX-Request-Id: %b\r\n\r\n"
        % (accept_of(key), flow.request_id.encode("ascii", "replace"))
    )
