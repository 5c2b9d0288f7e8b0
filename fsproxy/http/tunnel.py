"""After a 101: bytes pass both ways between two connections, neither of them faster than the other one reads."""

from __future__ import annotations

import asyncio

from fsproxy.http.client_transport import ClientTransport
from fsproxy.http.upstream.connection import UpstreamConnection


class Tunnel:
    """Connects a client and an upstream until either ends. A subclass may look at what passes, and change it."""

    def __init__(self, client: ClientTransport, closed: asyncio.Future[None]) -> None:
        self._client = client
        self._upstream: UpstreamConnection | None = None
        self.closed = closed
        self._held = False
        self.bytes_up = 0
        self.bytes_down = 0

    def attach(self, upstream: UpstreamConnection, rest: bytes) -> None:
        """Connect the upstream's side. ``rest``: the bytes that came right behind its 101."""
        self._upstream = upstream
        upstream.tunnel(self.on_upstream_data)
        upstream.on_resume = self.on_upstream_writable
        if rest:
            self.on_upstream_data(rest)

    def open(self) -> None:
        """Connect the client's side."""
        self._client.on_writable = self.on_client_writable
        self._client.tunnel(self.on_client_data)

    @property
    def has_upstream(self) -> bool:
        """Whether the upstream's side is connected."""
        return self._upstream is not None

    def on_client_data(self, data: bytes) -> None:
        """Pass on what the client sends; ``b""`` means that it is gone."""
        if not data:
            self.on_client_gone()
            return
        self.bytes_up += len(data)
        self.send_up(data)

    def on_client_gone(self) -> None:
        """End the tunnel, as the client is gone. May be called twice."""
        self.close()

    def on_upstream_data(self, data: bytes) -> None:
        """Pass on what the upstream sends; ``b""`` means that it is gone."""
        if not data:
            self.close()
            return
        self.bytes_down += len(data)
        self.send_down(data)

    def send_up(self, data: bytes) -> None:
        """Write to the upstream. While it does not read, do not read the client either."""
        if self._upstream is not None:
            self._upstream.write(data)
            if self._upstream.writing_paused:
                self._client.pause_transport()

    def send_down(self, data: bytes) -> None:
        """Write to the client. While it does not read, do not read the upstream either."""
        self._client.write(data)
        if self._client.writing_paused and self._upstream is not None:
            self._upstream.pause()

    def hold_client(self) -> None:
        """Read no more from the client until ``release_client``."""
        self._held = True
        self._client.pause_transport()

    def release_client(self) -> None:
        """Read the client again, unless the upstream does not read."""
        if self._held:
            self._held = False
            if self._upstream is None or not self._upstream.writing_paused:
                self.on_upstream_writable()

    @property
    def is_closed(self) -> bool:
        """Whether the tunnel has ended."""
        return self.closed.done()

    def close(self) -> None:
        """End the upstream's side after everything that was written to it. ``closed`` then ends the client's."""
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.close()
        if not self.closed.done():
            self.closed.set_result(None)

    def on_client_writable(self) -> None:
        """Read the upstream again, as the client reads again or is gone."""
        if self._upstream is not None:
            self._upstream.resume()

    def on_upstream_writable(self) -> None:
        """Read the client again, as the upstream does."""
        if not self._held:
            self._client.resume_transport()
