"""After a 101: bytes pass both ways between two connections, each side waiting for the other to read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsproxy.shell.connection import ClientConnection
    from fsproxy.shell.upstream_connection import UpstreamConnection


class Tunnel:
    """Connects a client and an upstream until either ends. ``upward`` and ``downward`` may look at what passes."""

    def __init__(self, client: ClientConnection, upstream: UpstreamConnection, closed: asyncio.Future[None]) -> None:
        self._client = client
        self._upstream = upstream
        self._closed = closed
        self.bytes_up = 0
        self.bytes_down = 0

    def open(self, rest: bytes) -> None:
        """Start; ``rest`` came from the upstream right behind its 101."""
        self._upstream.tunnel(self.on_upstream_data)
        self._upstream.on_resume = self._on_upstream_writable
        self._client.on_writable = self._on_client_writable
        if rest:
            self.on_upstream_data(rest)
        self._client.tunnel(self.on_client_data)

    def on_client_data(self, data: bytes) -> None:
        """From the client (``b""``: it is gone): on to the upstream."""
        if not data:
            self.close()
            return
        self.bytes_up += len(data)
        self.send_up(data)

    def on_upstream_data(self, data: bytes) -> None:
        """From the upstream (``b""``: it is gone): on to the client."""
        if not data:
            self.close()
            return
        self.bytes_down += len(data)
        self.send_down(data)

    def send_up(self, data: bytes) -> None:
        """Write to the upstream; while it does not read, the client is not read either."""
        self._upstream.write(data)
        if self._upstream.writing_paused and self._client.transport is not None:
            self._client.transport.pause_reading()

    def send_down(self, data: bytes) -> None:
        """Write to the client; while it does not read, the upstream is not read either."""
        self._client.write(data)
        if self._client.writing_paused:
            self._upstream.pause()

    def close(self) -> None:
        """End both sides, each after what was already written to it."""
        if self._upstream.transport is not None:
            self._upstream.transport.close()
        if not self._closed.done():
            self._closed.set_result(None)

    def _on_client_writable(self) -> None:
        self._upstream.resume()

    def _on_upstream_writable(self) -> None:
        if self._client.transport is not None:
            self._client.transport.resume_reading()
