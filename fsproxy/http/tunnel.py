"""After a 101: bytes pass both ways between two connections, each side waiting for the other to read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsproxy.http.client_transport import ClientTransport
    from fsproxy.http.upstream_connection import UpstreamConnection


class Tunnel:
    """Connects a client and an upstream until either ends. What passes may be looked at by a subclass."""

    def __init__(self, client: ClientTransport, closed: asyncio.Future[None]) -> None:
        self._client = client
        self._upstream: UpstreamConnection | None = None
        self.closed = closed
        self._held = False
        self.bytes_up = 0
        self.bytes_down = 0

    def attach(self, upstream: UpstreamConnection, rest: bytes) -> None:
        """Connect the upstream's side; ``rest`` came from it right behind its 101."""
        self._upstream = upstream
        upstream.tunnel(self.on_upstream_data)
        upstream.on_resume = self.on_upstream_writable
        if rest:
            self.on_upstream_data(rest)

    def open(self) -> None:
        """Connect the client's side."""
        self._client.on_writable = self.on_client_writable
        self._client.tunnel(self._from_client)

    @property
    def has_upstream(self) -> bool:
        """The upstream's side is connected."""
        return self._upstream is not None

    def _from_client(self, data: bytes) -> None:
        if data:
            self.on_client_data(data)
        else:
            self.on_client_gone()

    def on_client_data(self, data: bytes) -> None:
        """From the client: on to the upstream."""
        self.bytes_up += len(data)
        self.send_up(data)

    def on_client_gone(self) -> None:
        """The client is gone: nothing more comes from it, and nothing reaches it. May be called twice."""
        self.close()

    def on_upstream_data(self, data: bytes) -> None:
        """From the upstream (``b""``: it is gone): on to the client."""
        if not data:
            self.close()
            return
        self.bytes_down += len(data)
        self.send_down(data)

    def send_up(self, data: bytes) -> None:
        """Write to the upstream; while it does not read, the client is not read either."""
        if self._upstream is not None:
            self._upstream.write(data)
            if self._upstream.writing_paused:
                self._pause_client()

    def send_down(self, data: bytes) -> None:
        """Write to the client; while it does not read, the upstream is not read either."""
        self._client.write(data)
        if self._client.writing_paused and self._upstream is not None:
            self._upstream.pause()

    def hold_client(self) -> None:
        """Read no more from the client until ``release_client``."""
        self._held = True
        self._pause_client()

    def release_client(self) -> None:
        """Read on, unless the upstream does not."""
        if self._held:
            self._held = False
            if self._upstream is None or not self._upstream.writing_paused:
                self.on_upstream_writable()

    @property
    def is_closed(self) -> bool:
        """Nothing passes any more."""
        return self.closed.done()

    def close(self) -> None:
        """End both sides, each after what was already written to it."""
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.close()
        if not self.closed.done():
            self.closed.set_result(None)

    def on_client_writable(self) -> None:
        """The client reads again (or is gone)."""
        if self._upstream is not None:
            self._upstream.resume()

    def on_upstream_writable(self) -> None:
        """The upstream reads again."""
        transport = self._client.transport
        if transport is not None and not transport.is_closing() and not self._held:
            transport.resume_reading()

    def _pause_client(self) -> None:
        transport = self._client.transport
        if transport is not None and not transport.is_closing():
            transport.pause_reading()
